"""Bird species by their attributes, and captions that describe a bird as annotators of CUB do."""

import re
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from dalle.miniworld.captions import sentence_case
from dalle.randomness import numpy_generator

PLUMAGE = {
    "red": (196, 48, 44),
    "orange": (232, 130, 42),
    "yellow": (240, 204, 66),
    "green": (96, 142, 72),
    "blue": (58, 104, 176),
    "brown": (130, 88, 56),
    "black": (44, 42, 48),
    "white": (240, 238, 232),
    "grey": (142, 146, 152),
}
CHANCES = np.array([2, 1, 2, 1, 2, 2, 2, 2, 2]) / 16
BILLS = ("short", "long")
TAILS = ("short", "long")
FAMILIES = {
    ("short", "short"): ("Finch", "Sparrow", "Bunting", "Warbler"),
    ("short", "long"): ("Swallow", "Flycatcher", "Jay", "Magpie"),
    ("long", "short"): ("Kingfisher", "Wren", "Nuthatch", "Woodpecker"),
    ("long", "long"): ("Thrasher", "Cuckoo", "Mockingbird", "Tern"),
}
TEST_FRACTION = 0.25  # of the species, as in the literature: 150 to train, 50 to test

TEMPLATES = (
    "this bird has a {crown} crown, a {belly} belly and a {bill} bill",
    "a {back} bird with {wing} wings and a {belly} belly",
    "this {back} bird has {wing} wings and a {bill} bill",
    "a bird with a {crown} head, a {back} back and a {tail} tail",
    "the bird has a {belly} breast and {belly} belly with {wing} wings",
    "this is a {back} bird with a {crown} crown and a {bill} pointed bill",
    "a small bird with a {crown} crown and a {belly} belly",
    "this bird is {back} with {wing} wings and has a {tail} tail",
    "a bird with {wing} wings, a {tail} tail and a {bill} bill",
    "this bird has a {belly} belly, a {crown} head and {wing} wings",
    "a {tail} tailed bird with a {back} back and a {crown} crown",
    "the {bill} billed bird has a {crown} head and a {belly} belly",
)
NAME_TEMPLATES = (
    "{name} on a branch",
    "a {name} sitting on a branch",
    "photo of a {name} in the morning",
    "{name} bird in the garden",
)

_ARTICLE = re.compile(r"\b(a) (?=orange)")


@dataclass(frozen=True, kw_only=True)
class Species:
    """What all birds of a species share: colours of `PLUMAGE`, lengths of bill and tail, and a unique name."""

    name: str
    crown: str
    back: str
    wing: str
    belly: str
    bill: str
    tail: str


@lru_cache(maxsize=4)
def draw_species(num_species: int, seed: int) -> tuple[Species, ...]:
    """That many different species; the first ones are the same for any number."""
    species: dict[str, Species] = {}
    attempt = 0
    while len(species) < num_species:
        candidate = _draw_one(numpy_generator(seed, "species", attempt))
        attempt += 1
        looks = [tuple(asdict(known).values())[1:] for known in species.values()]
        if candidate.name not in species and tuple(asdict(candidate).values())[1:] not in looks:
            species[candidate.name] = candidate
        elif attempt > 100 * num_species:
            raise ValueError(f"cub_species: {num_species} is more than the world has names for; ask for fewer than 200")
    return tuple(species.values())


@lru_cache(maxsize=4)
def held_out_species(num_species: int, seed: int) -> frozenset[int]:
    """Indices of the species that only testing sees: a quarter of them, at least one when there are two."""
    num_test = min(max(round(TEST_FRACTION * num_species), 1), num_species - 1)
    return frozenset(numpy_generator(seed, "class split").permutation(num_species)[:num_test].tolist())


def describe_bird(species: Species, rng: np.random.Generator, num_captions: int) -> list[str]:
    """That many different descriptions by attributes."""
    order = rng.permutation(len(TEMPLATES))[:num_captions]
    return [_ARTICLE.sub(r"\1n ", TEMPLATES[index].format(**asdict(species))) for index in order]


def alt_text(species: Species, rng: np.random.Generator) -> str:
    """What a web page says about a picture of the bird: its attributes or its name."""
    if rng.uniform() < 0.6:
        return sentence_case(describe_bird(species, rng, 1)[0], rng)
    template = NAME_TEMPLATES[int(rng.integers(len(NAME_TEMPLATES)))]
    caption = _ARTICLE.sub(r"\1n ", template.format(name=species.name.replace("_", " ").lower()))
    return sentence_case(caption, rng)


def _draw_one(rng: np.random.Generator) -> Species:
    crown, back, belly = (str(colour) for colour in rng.choice(list(PLUMAGE), 3, p=CHANCES))
    wing = back if rng.uniform() < 0.35 else str(rng.choice(list(PLUMAGE), p=CHANCES))
    bill, tail = BILLS[int(rng.integers(2))], TAILS[int(rng.integers(2))]
    families = FAMILIES[bill, tail]
    family = families[int(rng.integers(len(families)))]
    names = (f"{crown}_crowned", f"{belly}_bellied", f"{wing}_winged", f"{back}_backed")
    name = f"{names[int(rng.integers(len(names)))]}_{family}".capitalize().replace(family.lower(), family)
    return Species(name=name, crown=crown, back=back, wing=wing, belly=belly, bill=bill, tail=tail)
