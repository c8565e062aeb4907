import json
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from small_pairs import encoded, make_manifest, picture

from dalle.config import from_mapping
from dalle.data.filtering.aspect_ratio import aspect_ratio
from dalle.data.filtering.boilerplate import boilerplate
from dalle.data.filtering.duplicate import duplicate
from dalle.data.filtering.not_english import EnglishConfig, not_english
from dalle.data.filtering.rules import RULES, FilterConfig, count_dropped, filter_pairs
from dalle.data.filtering.too_short import too_short
from dalle.data.filtering.truth import score_against_truth
from dalle.data.filtering.undecodable import undecodable

SETTINGS = {
    "boilerplate": True,
    "min_words": 3,
    "min_characters": 8,
    "min_aspect": 0.5,
    "max_aspect": 2,
    "english": {"min_probability": 0.7, "min_characters": 12},
    "duplicates": True,
}
CONFIG = from_mapping(FilterConfig, SETTINGS)
ENGLISH = """a small red circle above a large blue square
large green star
red circle
this bird has a red crown, a white belly and a short bill
orange heart, pink ring
A man riding a wave on top of a surfboard.
Two zebras grazing in a dry savanna
Cathedral of Santiago de Compostela at night
spaghetti carbonara recipe
american football player celebrates his touchdown
tropical fish aquarium
Tarte tatin with vanilla ice cream
Grilled salmon with lemon
misty hills at dawn""".splitlines()
FOREIGN = """ein kleiner roter Kreis über einem großen blauen Quadrat
ein kleiner roter kreis ueber einem grossen blauen quadrat
un petit cercle rouge sur un grand carré bleu
el hotel está cerca de la playa en verano
een man loopt over straat in de regen
il mio gatto dorme sul divano di casa
mały pies biega po plaży
красный круг
Κόκκινος κύκλος
赤い丸と青い四角
دائرة حمراء""".splitlines()
DATES = """12/05/2009
05-12-2009
5.12.09
2009-05-12
2009/05/12
May 12, 2009
May 12th 2009
12 May 2009
12th of May, 2009
12-May-2009
Sept. 2009
Tuesday, 12 May 2009
2009:05:12 14:35:22
May 12
20090512_143501""".splitlines()


def captioned(captions):
    return pd.DataFrame({"caption": list(captions)})


def dropped_captions(details, captions):
    return [caption for caption, detail in zip(captions, details, strict=True) if detail]


def test_words_are_runs_of_letters():
    captions = ["red", "red 12 34", "a red dog", "it's mine now", "我爱猫", "x y z", ""]
    assert too_short(captioned(captions), 3, 0).ne("").tolist() == [True, True, False, False, False, False, True]
    assert too_short(captioned(captions), 3, 6)[5] == "3 characters, fewer than 6"
    assert too_short(captioned(captions), 0, 0).eq("").all()


def test_english_is_kept_and_other_languages_are_not():
    config = CONFIG.english
    assert dropped_captions(not_english(captioned(ENGLISH), config), ENGLISH) == []
    assert dropped_captions(not_english(captioned(FOREIGN), config), FOREIGN) == FOREIGN


def test_english_thresholds_are_obeyed():
    german = captioned(FOREIGN[:1])
    assert not_english(german, EnglishConfig(min_probability=0.7, min_characters=200)).tolist() == [""]
    assert not_english(german, EnglishConfig(min_probability=0.7, min_characters=0))[0].startswith("de with probability")
    assert not_english(captioned(["", "12 / 7 !!", "x" * 20_000]), CONFIG.english)[:2].tolist() == ["", ""]


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("frame", ["{}", "photographed on {}", "Photo taken on {}.", "Picture uploaded {}", "was shot on {}"])
def test_dates_alone_are_boilerplate_in_any_format(frame, date):
    caption = frame.format(date)
    assert boilerplate(captioned([caption]))[0].startswith("date"), caption


BOILERPLATE = """IMG_1234.jpg
IMG 1234
DSC00012.JPG
DSC_0012
P1010101
100_1234
sunset-final(2).jpg
photo 3 of 12
Screenshot 2009-05-12 at 14.35.22.png
photo by Jane Doe
Photograph by J. P. O'Neill-Smith, 2009
photo credit: Jane Doe
image courtesy of Jane Doe
© 2009 Jane Doe. All rights reserved
OLYMPUS DIGITAL CAMERA
SONY DSC
Exif_JPEG_PICTURE
Processed with VSCO with c1 preset""".splitlines()
CONTENT = """a red circle above a blue square
a red circle photographed on 12/05/2009
dog on the beach, photo by Jane Doe
photo of the day by the sea
a march through the city in may
two dogs in 2009
the image of a bird
3 birds on 2 branches
sunset over mountains IMG_1234.jpg
photo
no title
a picture by the window shows flowers""".splitlines()


def test_boilerplate_is_dropped_only_where_little_else_is_left():
    assert dropped_captions(boilerplate(captioned(BOILERPLATE)), BOILERPLATE) == BOILERPLATE
    assert dropped_captions(boilerplate(captioned(CONTENT)), CONTENT) == []


@pytest.mark.parametrize("text", ["a", "photo by ", "12/", "a-", "may ", "img_1"])
def test_rules_on_captions_take_no_time_on_very_long_ones(text):
    frame = captioned([text * (20_000 // len(text))])
    start = time.perf_counter()
    for details in (boilerplate(frame), too_short(frame, 3, 8), not_english(frame, CONFIG.english)):
        assert len(details) == 1
    assert time.perf_counter() - start < 1


def test_aspect_ratios_at_the_bounds_are_kept():
    sizes = [(100, 50), (50, 100), (101, 50), (50, 101), (0, 0), (64, 64)]
    frame = pd.DataFrame(sizes, columns=["width", "height"])
    assert aspect_ratio(frame, 0.5, 2).tolist() == ["", "", "101 x 50 pixels", "50 x 101 pixels", "", ""]


def test_undecodable_means_to_the_last_pixel(tmp_path):
    good = encoded(picture(0))
    other_modes = [encoded(picture(1).convert("CMYK")), encoded(picture(1).convert("L"), "PNG")]
    images = [good, good[:-200], good[:20], b"", b"<html>", *other_modes]
    manifest = make_manifest(tmp_path, images)
    assert manifest.width.tolist() == [48, 48, 0, 0, 0, 48, 48]
    details = undecodable(manifest.set_index(manifest.index * 3))
    assert details.index.tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert details.ne("").tolist() == [False, True, True, True, True, False, False]
    assert all("images.bin" in detail for detail in details if detail)
    assert not details.str.contains("0x").any(), "an address in memory would be another one each time"


def scene(x, y, colour="red", size=100, ground=(222, 229, 221)):
    image = Image.new("RGB", (size, size), ground)
    ImageDraw.Draw(image).ellipse([x, y, x + 28, y + 28], fill=colour)
    return image


def test_duplicates_survive_new_encodings_and_different_scenes_do_not_collide(tmp_path):
    original = scene(20, 30)
    images = {
        "original": encoded(original, quality=92),
        "same bytes": encoded(original, quality=92),
        "worse quality": encoded(original, quality=30),
        "as png": encoded(original, "PNG"),
        "scaled": encoded(original.resize((80, 80), Image.Resampling.LANCZOS), quality=80),
        "moved": encoded(scene(23, 30), quality=92),
        "elsewhere": encoded(scene(60, 60), quality=92),
        "other colour": encoded(scene(20, 30, colour=(180, 0, 60)), quality=92),
        "other ground": encoded(scene(20, 30, ground=(208, 229, 221)), quality=92),
        "mirrored": encoded(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=92),
    }
    manifest = make_manifest(tmp_path, list(images.values()), ["a red circle"] * len(images))
    found = dict(zip(images, duplicate(manifest), strict=True))
    assert [name for name, detail in found.items() if detail] == ["same bytes", "worse quality", "as png", "scaled"]
    assert found["scaled"] == "same picture and caption as p0000"


def test_the_smallest_id_is_kept_and_only_equal_captions_count(tmp_path):
    data = encoded(picture(0))
    captions = ["A dog!", "a  dog", "the dog", "a dog."]
    manifest = make_manifest(tmp_path, [data] * 4, captions)
    manifest = manifest.iloc[[3, 2, 0, 1]].set_index(pd.Index([5, 6, 7, 8]))
    details = duplicate(manifest)
    assert details.to_dict() == {5: "same picture and caption as p0000", 6: "", 7: "", 8: "same picture and caption as p0000"}
    assert duplicate(manifest[:0]).empty and duplicate(manifest[:2]).eq("").all()


def test_duplicates_agree_with_comparing_every_pair(tmp_path):
    rng = np.random.default_rng(0)
    grounds = [tuple(rng.integers(215, 225, 3).tolist()) for _ in range(40)]
    images = [encoded(Image.new("RGB", (32, 32), ground), "PNG") for ground in grounds]
    manifest = make_manifest(tmp_path, images, ["plain ground"] * 40)
    kept = []
    for index, ground in enumerate(grounds):
        if not any(np.abs(np.subtract(ground, grounds[other])).mean() <= 3 for other in kept):
            kept.append(index)
    assert np.flatnonzero(duplicate(manifest) == "").tolist() == kept
    assert 1 < len(kept) < 40


@pytest.fixture
def junk(tmp_path):
    """Pairs with one kind of junk each, and two good ones."""
    good, wide = encoded(picture(0)), encoded(picture(1, 90, 30))
    rows = {
        "": ("a small red circle above a square", good),
        "too_short": ("red", good),
        "not_english": (FOREIGN[0], good),
        "boilerplate": ("IMG_1234.jpg", good),
        "aspect_ratio": ("a wide picture of the hills", wide),
        "undecodable": ("a circle that cannot be seen", good[:-200]),
        "duplicate": ("A small red circle above a square.", encoded(picture(0), quality=60)),
        "good": ("another small red circle", good),
    }
    manifest = make_manifest(tmp_path, [data for _, data in rows.values()], [caption for caption, _ in rows.values()])
    truth = pd.DataFrame({"pair_id": manifest.pair_id, "junk": ["" if name == "good" else name for name in rows]})
    return manifest, truth


def test_every_pair_is_dropped_by_its_own_rule_and_scored(junk):
    manifest, truth = junk
    kept, dropped = filter_pairs(manifest.set_index(manifest.index + 9), CONFIG)
    assert kept.pair_id.tolist() == ["p0000", "p0007"] and kept.index.tolist() == [0, 1]
    assert dropped.pair_id.tolist() == truth.pair_id[truth.junk != ""].tolist()
    assert dropped.rule.tolist() == truth.junk[truth.junk != ""].tolist()
    assert (dropped.detail != "").all()
    assert count_dropped(dropped) == dict.fromkeys(RULES, 1)
    scores = score_against_truth(dropped, truth)
    assert scores == {f"truth/{rule}/{score}": 1.0 for rule in RULES for score in ("precision", "recall")}
    pd.testing.assert_frame_equal(filter_pairs(manifest, CONFIG)[1], dropped)


def test_scores_count_what_was_missed_and_what_was_wrong():
    truth = pd.DataFrame({"pair_id": list("abcdef"), "junk": ["too_short", "too_short", "", "boilerplate", "", "undecodable"]})
    dropped = pd.DataFrame({"pair_id": list("acd"), "rule": ["too_short", "too_short", "not_english"], "detail": "x"})
    assert score_against_truth(dropped, truth) == {
        "truth/boilerplate/recall": 0.0,
        "truth/too_short/precision": 0.5,
        "truth/too_short/recall": 0.5,
        "truth/not_english/precision": 0.0,
        "truth/undecodable/recall": 0.0,
    }
    with pytest.raises(ValueError, match="the truth belongs to other data"):
        score_against_truth(dropped.assign(pair_id="z"), truth)


def test_rules_can_be_switched_off(junk):
    manifest, _ = junk
    off = {"boilerplate": False, "min_words": 0, "min_characters": 0, "min_aspect": 0.0, "max_aspect": 9.0, "english": None}
    config = from_mapping(FilterConfig, off | {"duplicates": False})
    assert filter_pairs(manifest, config)[1].rule.tolist() == ["undecodable"]


def test_nothing_left_and_nothing_to_start_with_are_errors(junk):
    manifest, _ = junk
    with pytest.raises(ValueError, match="no pair of 8 is left .*too_short"):
        filter_pairs(manifest, from_mapping(FilterConfig, SETTINGS | {"min_words": 50}))
    with pytest.raises(ValueError, match="no pairs to filter"):
        filter_pairs(manifest[:0], CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_aspect": 1.5}, "filter: min_aspect <= 1 <= max_aspect"),
        ({"min_words": -1}, "filter: min_words must not be negative"),
        ({"english": {"min_probability": 2.0, "min_characters": 3}}, "filter.english: min_probability must be from 0 to 1"),
        ({"english": {"min_probability": 0.5, "min_characters": -3}}, "filter.english: min_characters must not be"),
    ],
)
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_mapping(FilterConfig, SETTINGS | change, "filter")


def test_details_can_be_written_as_csv(junk, tmp_path):
    _, dropped = filter_pairs(junk[0], CONFIG)
    dropped.to_csv(tmp_path / "dropped.csv", index=False)
    again = pd.read_csv(tmp_path / "dropped.csv")
    assert json.dumps(again.to_dict("list")) == json.dumps(dropped.to_dict("list"))
