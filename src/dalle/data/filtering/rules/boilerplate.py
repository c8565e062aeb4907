"""Rule: little of the caption is left once dates, file names, credits and camera defaults are taken out."""

import re
from dataclasses import dataclass

import pandas as pd

ORDER = 10  # before too_short: a file name is boilerplate before it is a single word
WORDS = "date or stock phrase"

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"[0-3]?\d(?:st|nd|rd|th)?"
_YEAR = r"(?:(?:18|19|20)\d\d|'\d\d)"
_DATES = (
    r"(?<![\d.])\d{4}(?P<big>[-/.:])\d{1,2}(?P=big)\d{1,2}(?!\d)",  # 2009-05-12
    r"(?<![\d.])\d{1,2}(?P<little>[-/.])\d{1,2}(?P=little)(?:\d{4}|\d\d)(?!\d)",  # 12/05/2009, 5.12.09
    rf"\b{_DAY}(?:\s+of)?[\s-]+{_MONTH}[\s,-]+{_YEAR}",  # 12th of May, 2009; 12-May-2009
    rf"\b{_MONTH}[\s-]+{_DAY},?[\s-]+{_YEAR}",  # May 12th, 2009
    rf"\b{_MONTH}[\s,-]+{_YEAR}",  # May 2009
    rf"\b(?:{_DAY}(?:\s+of)?\s+{_MONTH}|{_MONTH}\s+{_DAY})(?=\s*(?:$|[,.;)]))",  # 12 May, and nothing behind it
    r"\b(?:19|20)\d\d[01]\d[0-3]\d(?:[_-]?[0-2]\d[0-5]\d(?:[0-5]\d)?)?\b",  # 20090512, 20090512_143501
    r"\b\d{1,2}:\d\d(?::\d\d)?\b",  # 14:35
    rf"(?<=\bin ){_YEAR}\b",  # in 2009
)
_EXTENSION = r"\.(?:jpe?g|png|gif|webp|tiff?|bmp|heic|raw|cr2|nef|arw|dng)\b"
_PREFIX = r"(?:_?mg|img|imgp|cimg|dsc[nf]?|pict|gopr|mvi|pxl|sam|hpim|sdc|wp|fh)"
_TITLE = r"(?:image|photo|picture|pic|scan|screenshot|untitled|file|frame)"
_FILE_NAMES = (
    rf"(?<![\w-])[\w-]++(?:\s?\(\d+\))?{_EXTENSION}",  # sunset-final(2).jpg; possessive, so linear on one long word
    rf"\b{_PREFIX}[\s_-]?\d{{3,}}(?:[\s_-]?\w*\d)*\b",  # IMG_1234
    rf"\b{_TITLE}[\s_-]?(?:no\.?\s*|#)?\d+(?:\s*(?:of|/)\s*\d+)?\b",  # photo 3 of 12
    r"\b[pls]\d{6,}\b|\b1\d\d[_-]\d{4}\b",  # P1010101, 100_1234
)
_PICTURES = r"(?:photo(?:graph(?:y)?)?|picture|pic|image|snapshot|shot|illustration)s?"
_WORD_OF_NAME = r"[^\s,;|()\[\]]++"
# at most four words, up to where a name can end; "photo by the sea" names nobody
_NAME = (
    rf"(?!(?:the|an?|my|our|his|her|their|its|this|that)\b){_WORD_OF_NAME}"
    rf"(?:\s+(?!on\b|in\b){_WORD_OF_NAME}){{0,3}}(?:(?=\s*(?:$|[,;|()\[\]]|on\b|in\b))|(?<=\w\w\.)(?=\s))"
)
_CREDITS = (
    rf"\b{_PICTURES}\s*(?:credits?|courtesy|copyright|taken|shot)?\s*(?:(?:by|via)\b|:|©|(?<=courtesy )of\b)\s*:?\s*{_NAME}",
    rf"\b(?:credits?|courtesy|copyright|photographer|source)\s*(?:of\b|by\b|:|©)\s*{_NAME}",
    rf"(?:©|\(c\)|\bcopyright\b)\s*(?:{_YEAR})?\s*{_NAME}",
    r"\ball rights reserved\b",
)
_MAKERS = r"(?:olympus|(?:konica )?minolta|samsung|kodak|sony|fuji(?:film)?|casio|ricoh|sanyo|pentax|polaroid)"
_CAMERAS = (
    rf"\b(?:{_MAKERS}\s+)?(?:digital\s+camera|digital\s?stillcamera)\b|\b{_MAKERS}\s+dsc\b",
    r"\bexif[_ ]jpeg[_ ]\w+",
    r"\b(?:created with (?:the )?gimp|processed with \w+(?: with \w+ preset)?)\b",
    r"\b(?:click (?:here )?(?:to|for) \w+(?: \w+)?|stock photos?|royalty free|free download)\b",
)
PATTERNS = {
    kind: re.compile("|".join(patterns), re.IGNORECASE)
    for kind, patterns in {
        "date": _DATES,
        "file name": _FILE_NAMES,
        "credit": _CREDITS,
        "camera default": _CAMERAS,
    }.items()
}
# words that only introduce boilerplate
_FILLERS = frozenset(
    """
    a added am an and are as at by captured copy created date dated day did file for from gmt here high i image images img in
    is it its jpeg jpg made my nd no of on or our photo photograph photographed photographer photography photos pic pics
    picture pictures pm png posted published quality rd recorded resolution s scan scanned shared shot snap snapped snapshot
    st taken th that the these this time to untitled uploaded utc via was were with
    monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun
    """.split()
)
_WORD = re.compile(r"[^\W\d_]+")
LONGEST_SHOWN = 40  # letters of a word in an explanation

# one of these is in every caption of ASCII letters that one of the patterns matches
_HINTS = tuple(
    ": by via courtesy credit copyright photographer source (c) dsc exif digital click".split()
    + [".jp", ".png", ".gif", ".webp", ".tif", ".bmp", ".heic", ".raw", ".cr2", ".nef", ".arw", ".dng"]
    + ["rights reserved", "created with", "processed with", "stock photo", "royalty free", "free download"]
)
_DIGIT = re.compile("[0-9]")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Fewer words of content than `min_content_words` beside boilerplate say nothing."""

    min_content_words: int

    def __post_init__(self) -> None:
        if self.min_content_words < 1:
            raise ValueError(f"min_content_words must be at least 1, got {self.min_content_words}")


def explain(pairs: pd.DataFrame, config: Config) -> list[str]:
    """Captions with boilerplate in them and fewer than `min_content_words` words of content beside it."""
    return [explain_caption(caption, config) if may_match(caption) else "" for caption in pairs.caption]


def may_match(caption: str) -> bool:
    """False only if no pattern matches: a look that takes a hundredth of the patterns' time."""
    # beyond ASCII there are other digits, and letters that are equal to ours but for case
    if not caption.isascii() or _DIGIT.search(caption):
        return True
    caption = caption.lower()
    return any(hint in caption for hint in _HINTS)


def explain_caption(caption: str, config: Config) -> str:
    found = []
    for kind, pattern in PATTERNS.items():
        caption, count = pattern.subn(" ", caption)
        if count:
            found.append(kind)
    if not found:
        return ""
    content = [word for word in _WORD.findall(caption.lower()) if word not in _FILLERS]
    if len(content) >= config.min_content_words:
        return ""
    shown = f": {content[0][:LONGEST_SHOWN]}" if content else ""
    return f"{' and '.join(found)}, {len(content)} words beside{shown}"
