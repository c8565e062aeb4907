"""A closed grammar of captions for scenes: `caption_scene` writes it, `parse_caption` reads it back exactly."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dalle.miniworld.scenes import Scene, SceneObject
from dalle.miniworld.vocabulary import COLOURS, HELDOUT, INVERSE, SHAPES

MIN_WORDS, MAX_WORDS = 3, 14

OPENINGS = (
    "a photo of",
    "a picture of",
    "an image of",
    "a drawing of",
    "a painting of",
    "a rendering of",
    "a close-up of",
    "photo of",
    "picture of",
    "there is",
    "this is",
)
SIZE_WORDS = {"small": ("small", "small", "little"), "large": ("large", "large", "big")}
RELATION_WORDS = {
    "above": ("above", "above", "over", "on top of"),
    "below": ("below", "below", "under", "beneath"),
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
}
JOINTS = ("and", "and", "with", "next to")
GROUND_WORDS = {
    "plain": ("on a plain ground", "on a plain background"),
    "gradient": ("on a shaded ground", "on a shaded background"),
    "stripes": ("on a striped ground", "with a striped background", "on stripes"),
    "dots": ("on a dotted ground", "with a dotted background", "on dots"),
    "paper": ("on textured paper", "on a paper background"),
}

_SIZE_OF = {word: size for size, words in SIZE_WORDS.items() for word in words}
_RELATION_OF = {phrase: relation for relation, phrases in RELATION_WORDS.items() for phrase in phrases}


def _either(phrases: Iterable[str]) -> str:
    return "|".join(re.escape(phrase) for phrase in sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase)))


_OBJECT = re.compile(
    r"(?:(?:a|an|the|one) )?"
    rf"(?:(?P<size>{_either(_SIZE_OF)}) )?(?:(?P<colour>{_either(COLOURS)}) )?(?P<shape>{_either(SHAPES)})"
)
_OPENING = re.compile(rf"(?:{_either(OPENINGS)}) ")
_GROUND = re.compile(rf",? (?:{_either(phrase for phrases in GROUND_WORDS.values() for phrase in phrases)})$")
_RELATION = re.compile(rf" ({_either(_RELATION_OF)}) ")
_JOINT = re.compile(rf" (?:{_either(JOINTS)}) |, (?:and )?")


@dataclass(frozen=True, kw_only=True)
class ObjectQuery:
    """What a caption says about one object; None where it says nothing."""

    shape: str
    colour: str | None
    size: str | None


@dataclass(frozen=True, kw_only=True)
class SceneQuery:
    """What a caption says about a scene; `relation` is how the first of two objects lies to the second."""

    objects: tuple[ObjectQuery, ...]
    relation: str | None

    @property
    def heldout(self) -> bool:
        """Whether it names a (shape, colour) combination that training pairs never show."""
        return any((item.shape, item.colour) in HELDOUT for item in self.objects)


def caption_scene(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many captions of a scene, of 3 to 14 words; colours are always named, sizes and relation often."""
    while True:
        caption = _draw_caption(scene, rng)
        if MIN_WORDS <= len(caption.split()) <= MAX_WORDS:
            return caption


def parse_caption(caption: str) -> SceneQuery | None:
    """What a caption of the grammar asks for, None when the caption is not about a scene; case and spaces are ignored."""
    text = " ".join(caption.lower().split()).removesuffix(".")
    text = _GROUND.sub("", _OPENING.sub("", text, count=1) if _OPENING.match(text) else text)
    parts = _RELATION.split(text)
    if len(parts) == 3:
        relation, phrases = _RELATION_OF[parts[1]], [parts[0], parts[2]]
    else:
        relation, phrases = None, _JOINT.split(text)
    matches = [_OBJECT.fullmatch(phrase) for phrase in phrases]
    if len(parts) not in (1, 3) or len(matches) > 3 or not all(matches):
        return None
    objects = tuple(
        ObjectQuery(shape=match["shape"], colour=match["colour"], size=_SIZE_OF.get(match["size"])) for match in matches
    )
    return SceneQuery(objects=objects, relation=relation)


def _draw_caption(scene: Scene, rng: np.random.Generator) -> str:
    items, relation = list(scene.objects), scene.relation
    if rng.uniform() < 0.5:
        items.reverse()
        relation = INVERSE.get(relation)
    sized, articles = rng.uniform() < 0.6, rng.uniform() < 0.75
    phrases = [_object_phrase(item, rng, sized=sized, article=articles) for item in items]
    if relation and rng.uniform() < 0.85:
        caption = f"{phrases[0]} {_pick(rng, RELATION_WORDS[relation])} {phrases[1]}"
    elif len(phrases) == 3:
        caption = f"{phrases[0]}, {phrases[1]} and {phrases[2]}"
    else:
        caption = f" {_pick(rng, JOINTS)} ".join(phrases)
    if articles and rng.uniform() < 0.3:
        caption = f"{_pick(rng, OPENINGS)} {caption}"
    if rng.uniform() < 0.2:
        caption = f"{caption} {_pick(rng, GROUND_WORDS[scene.ground])}"
    return sentence_case(caption, rng)


def sentence_case(caption: str, rng: np.random.Generator) -> str:
    """As people write it: mostly all lower case, sometimes a capital first, sometimes with a full stop."""
    style = rng.uniform()
    if style < 0.7:
        return caption
    capitalised = caption[0].upper() + caption[1:]
    return capitalised if style < 0.85 else f"{capitalised}."


def _object_phrase(item: SceneObject, rng: np.random.Generator, *, sized: bool, article: bool) -> str:
    words = [item.colour, item.shape]
    if sized:
        words.insert(0, _pick(rng, SIZE_WORDS[item.size]))
    if article:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    return " ".join(words)


def _pick(rng: np.random.Generator, phrases: tuple[str, ...]) -> str:
    return phrases[int(rng.integers(len(phrases)))]
