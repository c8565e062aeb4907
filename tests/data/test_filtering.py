import json
import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from small_pairs import encoded, make_manifest, picture

from dalle.config import from_mapping
from dalle.data.filtering.filter_pairs import filter_pairs
from dalle.data.filtering.parts import Parts
from dalle.data.filtering.rule_list import RULES, FilterConfig, rules_on
from dalle.data.filtering.rules import aspect_ratio, boilerplate, duplicate, not_english, too_short, too_small, undecodable
from dalle.data.filtering.truth import score_against_truth
from dalle.data.manifest import places, write_manifest
from dalle.processes import Processes

SETTINGS = {
    "boilerplate": {"min_content_words": 2},
    "too_short": {"min_words": 3, "min_characters": 8},
    "too_small": {"min_side": 16},
    "aspect_ratio": {"min": 0.5, "max": 2},
    "not_english": {"margin": 1.1, "min_characters": 8, "min_probability": 0.9},
    "undecodable": {"decode": True},
    "duplicate": {"max_mean_difference": 3.0, "max_difference": 40.0},
    "near_duplicate": None,
    "clip_score": None,
}
CONFIG = from_mapping(FilterConfig, SETTINGS)
LANGUAGE = SETTINGS["not_english"]
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


def explained(rule, pairs, config=None):
    """The rule's details as a series on the pairs' index."""
    config = config or getattr(CONFIG, rule.__name__.rpartition(".")[2])
    return pd.Series(list(rule.explain(pairs, config)), index=pairs.index, dtype=str)


def filtered(manifest, config, folder, **options):
    """(kept, dropped) of a manifest in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, folder / "pairs.parquet")
    found = list(filter_pairs(folder / "pairs.parquet", config, folder=folder / "work", processes=1, **options))
    return tuple(pd.concat(frames, ignore_index=True) for frames in zip(*found, strict=True))


def duplicates(manifest, folder):
    write_manifest(manifest, folder / "pairs.parquet")
    parts = Parts(folder / "pairs.parquet", folder / "work", processes=Processes(1))
    details = [detail for part in duplicate.explain_all(parts, CONFIG.duplicate) for detail in part]
    return pd.Series(details, index=manifest.index, dtype=str)


def test_words_are_runs_of_letters():
    captions = ["red", "red 12 34", "a red dog", "it's mine now", "我爱猫", "x y z", ""]
    assert explained(too_short, captioned(captions), too_short.Config(min_words=3, min_characters=0)).ne("").tolist() == [True, True, False, False, False, False, True]
    assert explained(too_short, captioned(captions), too_short.Config(min_words=3, min_characters=6))[5] == "3 characters, fewer than 6"
    assert explained(too_short, captioned(captions), too_short.Config(min_words=0, min_characters=0)).eq("").all()


def test_english_is_kept_and_other_languages_are_not():
    assert dropped_captions(explained(not_english, captioned(ENGLISH)), ENGLISH) == []
    assert dropped_captions(explained(not_english, captioned(FOREIGN)), FOREIGN) == FOREIGN


def test_english_thresholds_are_obeyed():
    german, config = captioned(FOREIGN[:1]), CONFIG.not_english
    assert explained(not_english, german, replace(config, min_characters=200)).tolist() == [""]
    (detail,) = explained(not_english, german, replace(config, min_characters=0))
    language, margin = re.fullmatch(r"wordfreq: (\w+), (\d\.\d\d) over English", detail).groups()
    assert language == "de"
    assert explained(not_english, german, replace(config, margin=float(margin) + 0.01)).tolist() == [""]
    assert explained(not_english, german, replace(config, margin=float(margin) - 0.01)).tolist() == [detail]
    assert explained(not_english, german, replace(config, margin=None))[0].startswith("cld3: de, ")
    assert explained(not_english, captioned(["", "12 / 7 !!", "x" * 20_000]))[:2].tolist() == ["", ""]


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("frame", ["{}", "photographed on {}", "Photo taken on {}.", "Picture uploaded {}", "was shot on {}"])
def test_dates_alone_are_boilerplate_in_any_format(frame, date):
    caption = frame.format(date)
    assert explained(boilerplate, captioned([caption]))[0].startswith("date"), caption


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
    assert dropped_captions(explained(boilerplate, captioned(BOILERPLATE)), BOILERPLATE) == BOILERPLATE
    assert dropped_captions(explained(boilerplate, captioned(CONTENT)), CONTENT) == []


FRAGMENTS = """photo by via Jane Doe : © (c) 12 May 2009 IMG_ 1234 .jpg .WEBP courtesy of credit copyright source all rights
reserved digital camera SONY DSC exif_jpeg created with gimp processed click here to stock photos royalty free download
a dog on the beach photographer ſource credıt ٣ K - / , .""".split()


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=8), st.sampled_from(["", " ", "_", ": "]))
def test_the_look_before_the_patterns_never_changes_an_answer(fragments, between):
    caption = between.join(fragments)
    config = boilerplate.Config(min_content_words=100)
    assert boilerplate.may_match(caption) or not boilerplate.explain_caption(caption, config)


def test_the_look_spares_the_patterns_most_captions():
    assert sum(map(boilerplate.may_match, ENGLISH)) < len(ENGLISH) / 4


@pytest.mark.parametrize("text", ["a", "photo by ", "12/", "a-", "may ", "img_1"])
def test_rules_on_captions_take_no_time_on_very_long_ones(text):
    frame = captioned([text * (20_000 // len(text))])
    start = time.perf_counter()
    for rule in (boilerplate, too_short, not_english):
        assert len(explained(rule, frame)) == 1
    assert time.perf_counter() - start < 1


def test_aspect_ratios_at_the_bounds_are_kept():
    sizes = [(100, 50), (50, 100), (101, 50), (50, 101), (0, 0), (64, 64)]
    frame = pd.DataFrame(sizes, columns=["width", "height"])
    assert explained(aspect_ratio, frame).tolist() == ["", "", "101 x 50 pixels", "50 x 101 pixels", "", ""]


def test_small_images_are_told_by_their_shorter_side():
    frame = pd.DataFrame([(100, 16), (15, 100), (0, 0)], columns=["width", "height"])
    assert explained(too_small, frame).tolist() == ["", "15 x 100 pixels", ""]


def test_undecodable_means_to_the_last_pixel(tmp_path):
    good = encoded(picture(0))
    other_modes = [encoded(picture(1).convert("CMYK")), encoded(picture(1).convert("L"), "PNG")]
    images = [good, good[:-200], good[:20], b"", b"<html>", *other_modes]
    manifest = make_manifest(tmp_path, images)
    assert manifest.width.tolist() == [48, 48, 0, 0, 0, 48, 48]
    details = explained(undecodable, manifest)
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
        "stretched": encoded(original.resize((original.width * 2, original.height)), quality=92),
        "stretched and saved again": encoded(original.resize((original.width * 2, original.height)), quality=80),
    }
    manifest = make_manifest(tmp_path, list(images.values()), ["a red circle"] * len(images))
    found = dict(zip(images, duplicates(manifest, tmp_path), strict=True))
    copies = ["same bytes", "worse quality", "as png", "scaled", "stretched and saved again"]
    assert [name for name, detail in found.items() if detail] == copies
    # thumbnails are squares: only the shape tells the stretched picture from the original
    assert found["scaled"] == "same as p0000" and found["stretched and saved again"] == "same as p0010"


def test_pictures_that_share_their_caption_but_no_shape_are_not_opened(tmp_path, monkeypatch):
    shapes = [(64, 64), (64, 48), (48, 64), (128, 128), (65, 64)]
    images = [encoded(picture(number, *shape)) for number, shape in enumerate(shapes)]
    opened, thumbnail = [], duplicate._thumbnail
    monkeypatch.setattr(duplicate, "_thumbnail", lambda place: opened.append(place) or thumbnail(place))
    manifest = make_manifest(tmp_path, images, ["a red circle"] * 5)
    assert not duplicates(manifest, tmp_path).any()
    assert opened == [place for number, place in enumerate(places(manifest)) if number in (0, 3, 4)]


def test_the_first_is_kept_and_only_equal_captions_count(tmp_path):
    data = encoded(picture(0))
    captions = ["A dog!", "a  dog", "the dog", "a dog."]
    manifest = make_manifest(tmp_path, [data] * 4, captions).iloc[[3, 2, 0, 1]]
    same = "same as p0003"
    assert duplicates(manifest, tmp_path).to_dict() == {3: "", 2: "", 0: same, 1: same}
    assert duplicates(manifest[:0], tmp_path / "none").empty


def test_duplicates_agree_with_comparing_every_pair(tmp_path):
    rng = np.random.default_rng(0)
    grounds = [tuple(rng.integers(215, 225, 3).tolist()) for _ in range(40)]
    images = [encoded(Image.new("RGB", (32, 32), ground), "PNG") for ground in grounds]
    manifest = make_manifest(tmp_path, images, ["plain ground"] * 40)
    kept = []
    for index, ground in enumerate(grounds):
        if not any(np.abs(np.subtract(ground, grounds[other])).mean() <= 3 for other in kept):
            kept.append(index)
    assert np.flatnonzero(duplicates(manifest, tmp_path) == "").tolist() == kept
    assert 1 < len(kept) < 40


@pytest.fixture
def junk(tmp_path):
    """Pairs with one kind of junk each, and two good ones."""
    good, wide, small = encoded(picture(0)), encoded(picture(1, 90, 30)), encoded(picture(2, 12, 12))
    rows = {
        "": ("a small red circle above a square", good),
        "too_short": ("red", good),
        "not_english": (FOREIGN[0], good),
        "boilerplate": ("IMG_1234.jpg", good),
        "aspect_ratio": ("a wide picture of the hills", wide),
        "too_small": ("a small picture of the hills", small),
        "undecodable": ("a circle that cannot be seen", good[:-200]),
        "duplicate": ("A small red circle above a square.", encoded(picture(0), quality=60)),
        "good": ("another small red circle", good),
    }
    manifest = make_manifest(tmp_path, [data for _, data in rows.values()], [caption for caption, _ in rows.values()])
    truth = pd.DataFrame({"pair_id": manifest.pair_id, "junk": ["" if name == "good" else name for name in rows]})
    return manifest, truth


def test_every_pair_is_dropped_by_its_own_rule_and_scored(junk, tmp_path):
    manifest, truth = junk
    kept, dropped = filtered(manifest, CONFIG, tmp_path / "a")
    assert kept.pair_id.tolist() == ["p0000", "p0008"]
    assert dropped.pair_id.tolist() == truth.pair_id[truth.junk != ""].tolist()
    assert dropped.rule.tolist() == truth.junk[truth.junk != ""].tolist()
    assert (dropped.detail != "").all()
    rules = rules_on(CONFIG)
    assert rules == tuple(RULES)[:-2]
    scores = score_against_truth(dropped, truth, rules)
    assert scores == {f"truth/{rule}/{score}": 1.0 for rule in rules for score in ("precision", "recall")}


def test_scores_count_what_was_missed_and_what_was_wrong():
    truth = pd.DataFrame({"pair_id": list("abcdef"), "junk": ["too_short", "too_short", "", "boilerplate", "", "undecodable"]})
    dropped = pd.DataFrame({"pair_id": list("acd"), "rule": ["too_short", "too_short", "not_english"], "detail": "x"})
    assert score_against_truth(dropped, truth, RULES) == {
        "truth/boilerplate/recall": 0.0,
        "truth/too_short/precision": 0.5,
        "truth/too_short/recall": 0.5,
        "truth/undecodable/recall": 0.0,
    }
    with pytest.raises(ValueError, match="the truth belongs to other data"):
        score_against_truth(dropped.assign(pair_id="z"), truth, RULES)


def test_rules_can_be_switched_off(junk, tmp_path):
    off = from_mapping(FilterConfig, dict.fromkeys(RULES) | {"undecodable": {"decode": False}})
    assert filtered(junk[0], off, tmp_path / "a")[1].rule.tolist() == ["undecodable"]


def test_nothing_left_and_nothing_to_start_with_are_errors(junk, tmp_path):
    strict = from_mapping(FilterConfig, SETTINGS | {"too_short": {"min_words": 50, "min_characters": 0}})
    with pytest.raises(ValueError, match="no pair of 9 is left .*too_short"):
        filtered(junk[0], strict, tmp_path / "a")
    with pytest.raises(ValueError, match="no pairs to filter"):
        filtered(junk[0][:0], CONFIG, tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aspect_ratio": {"min": 1.5, "max": 2}}, "filter.aspect_ratio: min <= 1 <= max"),
        ({"too_short": {"min_words": -1, "min_characters": 0}}, "filter.too_short: min_words must not be negative"),
        ({"too_small": {"min_side": 0}}, "filter.too_small: min_side must be at least 1"),
        ({"boilerplate": {"min_content_words": 0}}, "filter.boilerplate: min_content_words must be"),
        ({"boilerplate": {}}, "filter.boilerplate.min_content_words: missing key"),
        ({"duplicat": None}, "filter.duplicat: unknown key .did you mean 'duplicate'"),
        ({"duplicate": {"max_mean_difference": 300, "max_difference": 3}}, "max_mean_difference must be from 0 to 255"),
        ({"near_duplicate": {"max_distance": 40}}, "filter.near_duplicate: max_distance must be from 0"),
        ({"not_english": LANGUAGE | {"min_probability": 2.0}}, "filter.not_english: min_probability must be from 0 to 1"),
        ({"not_english": LANGUAGE | {"min_characters": -3}}, "filter.not_english: min_characters must not be"),
        ({"not_english": LANGUAGE | {"margin": -0.5}}, "filter.not_english: margin must be from 0 to 8 .* null for cld3 alone"),
    ],
)
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_mapping(FilterConfig, SETTINGS | change, "filter")


def test_every_rule_is_a_whole_file():
    for name, rule in RULES.items():
        assert rule.__doc__.startswith("Rule: ") and rule.WORDS and isinstance(rule.ORDER, int), name
        assert hasattr(rule, "explain") != hasattr(rule, "explain_all"), name
    assert len({rule.ORDER for rule in RULES.values()}) == len(RULES)


def test_details_can_be_written_as_csv(junk, tmp_path):
    _, dropped = filtered(junk[0], CONFIG, tmp_path / "a")
    dropped.to_csv(tmp_path / "dropped.csv", index=False)
    again = pd.read_csv(tmp_path / "dropped.csv")
    assert json.dumps(again.to_dict("list")) == json.dumps(dropped.to_dict("list"))
