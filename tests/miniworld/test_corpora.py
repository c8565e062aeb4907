import filecmp
import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from dalle.miniworld.birds import draw_species
from dalle.miniworld.captions import parse_caption
from dalle.miniworld.corpora import MiniworldConfig, read_truth, render_coco, render_cub, render_panels, render_web
from dalle.miniworld.items import TRUTH_COLUMNS, panels_of
from dalle.miniworld.parallel import map_in_order
from dalle.miniworld.reader import read_scene
from dalle.miniworld.scenes import Scene, SceneObject, appearance
from dalle.miniworld.variety import CANONICAL, RICH
from dalle.miniworld.vocabulary import HELDOUT
from dalle.miniworld.web_pairs import make_pair
from dalle.miniworld.web_plan import WebItem

SEED = 7


@pytest.mark.parametrize(
    ("corpus", "render"), [("web", render_web), ("coco", render_coco), ("cub", render_cub), ("panels", render_panels)]
)
def test_rendering_twice_gives_the_same_bytes(tmp_path, corpus, render):
    tiny = MiniworldConfig(
        variety="rich",
        web_pairs=60, coco_train_images=5, coco_val_images=10, cub_species=3, cub_images_per_species=4, panels=4
    )
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        render(tiny, SEED, tmp_path / name / corpus)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    again = sorted(path.relative_to(tmp_path / "second") for path in (tmp_path / "second").rglob("*") if path.is_file())
    assert files == again and files
    _, different, errors = filecmp.cmpfiles(tmp_path / "first", tmp_path / "second", files, shallow=False)
    assert different == errors == []
    assert [path.name for path in (tmp_path / "first").iterdir()] == [corpus]


def test_many_processes_give_what_one_gives():
    items = [WebItem(index=index, kind=("scene", "bird", "distractor", "panels")[index % 4]) for index in range(256)]
    make = partial(make_pair, species=list(draw_species(4, SEED)), evaluated=frozenset(), seed=SEED, variety=RICH)
    assert list(map_in_order(make, items))[::7] == [make(item) for item in items[::7]]


def test_a_web_scene_that_looks_like_an_evaluated_one_is_drawn_again():
    def drawn(evaluated: set[int]) -> Scene:
        pair = make_pair(WebItem(index=3, kind="scene"), species=[], evaluated=frozenset(evaluated), seed=SEED, variety=CANONICAL)
        values = json.loads(pair.attributes)
        return Scene(**{**values, "objects": tuple(SceneObject(**of) for of in values["objects"])})

    first = drawn(set())
    other = drawn({appearance(first)})
    assert appearance(other) != appearance(first)
    assert drawn({appearance(other)}) == first, "what looks like no evaluated scene stays as it was"


def test_growing_one_corpus_leaves_the_items_of_the_others_alone(world, tmp_path, config):
    fewer = MiniworldConfig(
        variety="rich",
        web_pairs=60, coco_train_images=3, coco_val_images=4, cub_species=2, cub_images_per_species=3, panels=3
    )
    render_coco(fewer, SEED, tmp_path / "coco")
    for path in (tmp_path / "coco").rglob("*.jpg"):
        assert path.read_bytes() == (world / "coco" / path.relative_to(tmp_path / "coco")).read_bytes()


@pytest.mark.parametrize("corpus", ["web", "coco", "cub", "panels"])
def test_truth_has_its_columns_and_unique_pairs(world, corpus):
    truth = read_truth(corpus, world / corpus)
    assert tuple(truth.columns) == TRUTH_COLUMNS
    assert truth.pair_id.is_unique and truth.heldout.dtype == bool
    assert all(isinstance(json.loads(text), dict) for text in truth.attributes)


def test_truth_of_a_folder_that_is_not_ours_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="render it first"):
        read_truth("coco", tmp_path)
    with pytest.raises(ValueError, match="render it first"):
        read_truth("web", tmp_path)
    (tmp_path / "captions.jsonl").write_text('{"file": "cat.jpg", "caption": "a cat"}\n')
    with pytest.raises(ValueError, match="render it first"):
        read_truth("panels", tmp_path)
    with pytest.raises(ValueError, match="web, coco, cub, panels"):
        read_truth("flickr", tmp_path)


def test_leaks_have_the_stated_rates_and_spare_heldout_combinations(world, config):
    leaks = read_truth("web", world / "web").leak_of
    coco, cub = (leaks[leaks.str.startswith(f"{name}:")].str.split(":").str[1] for name in ("coco", "cub"))
    assert len(coco) == coco.nunique() == round(0.21 * config.coco_val_images)
    tested = (world / "cub/testclasses.txt").read_text().split()
    assert len(tested) == 2
    assert len(cub) == cub.nunique() == round(0.12 * len(tested) * config.cub_images_per_species)
    truth = read_truth("coco", world / "coco").drop_duplicates("image_id").set_index("image_id")
    validation = json.loads((world / "coco/annotations/captions_val2014.json").read_text())
    assert set(coco) <= {str(image["id"]) for image in validation["images"]}
    assert not truth.heldout[list(coco)].any()


def test_leaked_pictures_look_like_the_originals_but_are_other_files_with_other_captions(world, web_members, open_image):
    truth = read_truth("web", world / "web").set_index("pair_id").leak_of
    document = json.loads((world / "coco/annotations/captions_val2014.json").read_text())
    known = {}
    for annotation in document["annotations"]:
        known.setdefault(str(annotation["image_id"]), []).append(annotation["caption"])
    for pair_id, leak in truth[truth.str.startswith("coco:")].items():
        image_id = leak.split(":")[1]
        original = (world / f"coco/val2014/COCO_val2014_{int(image_id):012d}.jpg").read_bytes()
        copy = web_members[f"{pair_id}.jpg"]
        assert copy != original
        small = [np.asarray(open_image(content).resize((16, 16), Image.Resampling.BOX), float) for content in (copy, original)]
        assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.8
        assert web_members[f"{pair_id}.txt"].decode() not in known[image_id]


def test_heldout_combinations_are_in_coco_only(world):
    shares = {}
    for corpus in ("web", "coco"):
        truth = read_truth(corpus, world / corpus)
        scenes = truth[truth.kind == "scene"].drop_duplicates("image_id").attributes.map(json.loads)
        shown = [{(item["shape"], item["colour"]) for item in scene["objects"]} for scene in scenes]
        shares[corpus] = np.mean([bool(looks & HELDOUT) for looks in shown])
    assert shares["web"] == 0
    assert shares["coco"] == pytest.approx(0.42, abs=0.13)


def test_heldout_combinations_are_in_no_panels_at_all(world):
    for corpus in ("web", "panels"):
        truth = read_truth(corpus, world / corpus)
        panels = truth[truth.kind == "panels"].attributes.map(panels_of)
        assert len(panels) == {"web": 24, "panels": 12}[corpus]
        assert not {(item.shape, colour) for item in panels for colour in (item.colour, item.colour_below)} & HELDOUT


def test_panels_to_complete_are_none_of_the_web_s(world):
    """Not one position, extent and turn occurs twice, and kinds take turns."""
    web, own = (read_truth(corpus, world / corpus) for corpus in ("web", "panels"))
    trained = {(item.centre, item.extent, item.degrees) for item in web[web.kind == "panels"].attributes.map(panels_of)}
    panels = own.attributes.map(panels_of)
    assert not trained & {(item.centre, item.extent, item.degrees) for item in panels}
    assert [item.kind for item in panels] == ["reflected", "recoloured", "copied"] * 4


def test_heldout_column_is_what_the_caption_says(world):
    truth = read_truth("coco", world / "coco").set_index("pair_id").heldout
    for split in ("train", "val"):
        for annotation in json.loads((world / f"coco/annotations/captions_{split}2014.json").read_text())["annotations"]:
            assert parse_caption(annotation["caption"]).heldout == truth[str(annotation["id"])]


def test_plan_without_room_for_the_leaks_is_refused(tmp_path):
    crowded = MiniworldConfig(
        variety="rich",
        web_pairs=30, coco_train_images=1, coco_val_images=100, cub_species=2, cub_images_per_species=1, panels=3
    )
    with pytest.raises(ValueError, match="web_pairs.*at least 42"):
        render_web(crowded, SEED, tmp_path / "web")
    assert not (tmp_path / "web").exists()


@pytest.mark.parametrize(("field", "value"), [("web_pairs", 0), ("coco_val_images", -1), ("cub_species", 1), ("panels", 2)])
def test_impossible_amounts_name_their_field(config, field, value):
    with pytest.raises(ValueError, match=field):
        MiniworldConfig(**{**vars(config), field: value})


def test_colours_in_the_pictures_are_those_of_the_truth(world, web_members, open_image):
    """The reader works on 64 px squares; here it looks at whole files as they lie in the shards."""
    truth = read_truth("web", world / "web").set_index("pair_id")
    plain = truth[(truth.kind == "scene") & (truth.junk == "") & (truth.leak_of == "")].attributes.map(json.loads)
    agreed = []
    for pair_id, scene in plain.iloc[::3].items():
        image = np.asarray(open_image(web_members[f"{pair_id}.jpg"]))
        found = sorted((item.shape or "", item.colour) for item in read_scene(image).objects)
        agreed.append(found == sorted((item["shape"], item["colour"]) for item in scene["objects"]))
    assert np.mean(agreed) >= 0.99
