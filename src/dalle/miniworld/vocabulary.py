"""What scenes are made of, and the combinations that training pairs never show."""

SHAPES = ("circle", "square", "triangle", "star", "heart", "ring")

# saturated, at least 22 degrees of hue apart, so that blur and JPEG leave the name of a colour alone
COLOURS = {
    "red": (219, 38, 42),
    "orange": (247, 136, 22),
    "yellow": (248, 212, 36),
    "green": (36, 166, 64),
    "cyan": (38, 194, 206),
    "blue": (38, 84, 214),
    "purple": (122, 48, 184),
    "pink": (244, 104, 176),
}

RELATIONS = ("above", "below", "left of", "right of")
INVERSE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}

GROUNDS = ("plain", "gradient", "stripes", "dots", "paper")

# one a shape (6 of 48): they occur in `coco`, never in `web` or `cub`
HELDOUT = frozenset(
    {
        ("circle", "orange"),
        ("square", "pink"),
        ("triangle", "cyan"),
        ("star", "blue"),
        ("heart", "green"),
        ("ring", "purple"),
    }
)
