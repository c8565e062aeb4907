import pytest
import torch

from dalle.prior.cache import slots_of
from dalle.prior.masks import MASKS, farthest_offset, image_mask, layer_masks, masks_of, sequence_mask

GRIDS = [1, 2, 3, 4, 5, 8]


def by_double_loop(grid_size, allowed):
    return torch.tensor([[bool(allowed(query, key)) for key in range(grid_size**2)] for query in range(grid_size**2)])


@pytest.mark.parametrize("grid_size", GRIDS)
def test_row_is_the_last_g_positions_and_itself(grid_size):
    expected = by_double_loop(grid_size, lambda query, key: query - grid_size <= key <= query)
    assert torch.equal(image_mask("row", grid_size, 1), expected)


@pytest.mark.parametrize("grid_size", GRIDS)
def test_column_is_the_same_column_at_and_above(grid_size):
    def allowed(query, key):
        return query % grid_size == key % grid_size and key // grid_size <= query // grid_size

    assert torch.equal(image_mask("column", grid_size, 1), by_double_loop(grid_size, allowed))


@pytest.mark.parametrize("kernel", [1, 3, 5, 11])
@pytest.mark.parametrize("grid_size", GRIDS)
def test_convolution_walks_the_kernel_on_the_flat_raster(grid_size, kernel):
    reach = kernel // 2

    def allowed(query, key):
        for up in range(reach + 1):
            for right in range(-reach, reach + 1):
                if query - up * grid_size + right == key <= query:
                    return True
        return False

    assert torch.equal(image_mask("convolution", grid_size, kernel), by_double_loop(grid_size, allowed))


@pytest.mark.parametrize("grid_size", GRIDS)
def test_full_is_causal(grid_size):
    assert torch.equal(image_mask("full", grid_size, 1), by_double_loop(grid_size, lambda query, key: key <= query))


def test_number_of_keys_at_the_paper_s_size():
    deep = 20 * 32 + 16
    assert image_mask("row", 32, 1)[deep].sum() == 33
    assert image_mask("column", 32, 1)[deep].sum() == 21
    assert image_mask("convolution", 32, 11)[deep].sum() == 61


def test_row_example_of_figure_11():
    """In a 4x4 grid the extent is 5 and the last key is in the same column of the previous row."""
    keys = image_mask("row", 4, 1)[9].nonzero().flatten().tolist()
    assert keys == [5, 6, 7, 8, 9] and keys[0] % 4 == 9 % 4


@pytest.mark.parametrize("mask", MASKS)
def test_the_whole_sequence_has_causal_text_and_images_that_see_all_text(mask):
    text_length, grid_size = 6, 4
    whole = sequence_mask(mask, text_length, grid_size, 3)
    for query in range(text_length + grid_size**2):
        for key in range(text_length + grid_size**2):
            if key < text_length:
                expected = key <= query
            else:
                expected = query >= text_length and bool(image_mask(mask, grid_size, 3)[query - text_length, key - text_length])
            assert whole[query, key] == expected


def test_layers_of_the_paper():
    masks = layer_masks(64)
    assert (masks.count("column"), masks.count("row"), masks.count("convolution")) == (16, 47, 1)
    assert [i for i, mask in enumerate(masks, start=1) if mask == "column"] == list(range(2, 63, 4))
    assert masks[-1] == "convolution"


def test_layers_of_small_models():
    assert layer_masks(1) == ["convolution"]
    assert layer_masks(6) == ["row", "column", "row", "row", "row", "convolution"]
    with pytest.raises(ValueError, match="at least 1 layer, got 0"):
        layer_masks(0)


def test_an_unknown_mask_is_named():
    with pytest.raises(ValueError, match="'diagonal'.*row, column, convolution, full"):
        image_mask("diagonal", 4, 3)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("grid_size", "kernel"), [(1, 1), (2, 3), (3, 11), (4, 3), (7, 5)])
def test_the_cache_holds_what_the_mask_allows_and_no_more(mask, grid_size, kernel):
    """Positions written in order into their slots: what a position's live slots hold is its row of the mask."""
    slots = slots_of(mask, grid_size, kernel, torch.device("cpu"))
    holds = torch.full((slots.capacity,), -1)
    for position, live in enumerate(slots.live):
        holds[live.slot] = position
        keys = holds[live.span]
        if live.added is not None:
            keys = keys[live.added == 0]
        assert sorted(keys.tolist()) == image_mask(mask, grid_size, kernel)[position].nonzero().flatten().tolist()
    if mask in ("row", "column", "full"):
        assert all(live.added is None for live in slots.live)


def test_a_row_s_cache_is_a_row_and_a_convolution_s_five_rows_at_the_paper_s_size():
    capacities = {mask: slots_of(mask, 32, 11, torch.device("cpu")).capacity for mask in ("row", "column", "convolution")}
    assert capacities == {"row": 33, "column": 1024, "convolution": 5 * 32 + 5 + 1}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("grid_size", "kernel"), [(1, 1), (2, 3), (3, 11), (4, 3), (7, 5)])
def test_farthest_offset(mask, grid_size, kernel):
    queries, keys = image_mask(mask, grid_size, kernel).nonzero(as_tuple=True)
    assert farthest_offset(mask, grid_size, kernel) == int((queries - keys).max())


def test_masks_by_a_rule_or_by_name():
    assert masks_of("paper", 6) == tuple(layer_masks(6))
    assert masks_of("full", 3) == ("full",) * 3
    assert masks_of(["row", "convolution"], 2) == ("row", "convolution")


@pytest.mark.parametrize(
    ("rule", "message"),
    [("sparse", "'sparse'.*paper, one of row"), (["row", "diagonal"], "'diagonal'"), (["row"], "names 1 masks.*2 layers")],
)
def test_a_rule_that_gives_no_masks_is_named(rule, message):
    with pytest.raises(ValueError, match=message):
        masks_of(rule, 2)
