import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dalle.config import ConfigError, from_mapping, to_mapping


@dataclass(frozen=True, kw_only=True)
class Rate:
    shape: Literal["cosine", "linear"]
    start: float

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"start must not be negative, got {self.start}")


@dataclass(frozen=True, kw_only=True)
class Optim:
    updates: int
    rate: Rate
    clip_norm: float | None
    betas: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Params:
    name: str
    tracking: bool
    views: Literal[1, 2]
    optim: Optim
    rates: tuple[Rate, ...]
    by_domain: dict[str, Rate]
    width: int | tuple[int, ...]


GOOD = {
    "name": "mini",
    "tracking": True,
    "views": 2,
    "optim": {"updates": 10, "rate": {"shape": "cosine", "start": 0.1}, "clip_norm": None, "betas": [0.9, 0.99]},
    "rates": [{"shape": "linear", "start": 1.0}],
    "by_domain": {"coco": {"shape": "linear", "start": 2.0}},
    "width": [4, 5],
}


def changed(path, value):
    """GOOD with the value at a dotted path replaced."""

    def replaced(tree, names):
        return {**tree, names[0]: replaced(tree[names[0]], names[1:]) if len(names) > 1 else value}

    return replaced(GOOD, path.split("."))


def error_of(mapping, path=""):
    with pytest.raises(ConfigError) as caught:
        from_mapping(Params, mapping, path)
    return str(caught.value)


def test_a_tree_becomes_dataclasses():
    assert from_mapping(Params, GOOD) == Params(
        name="mini",
        tracking=True,
        views=2,
        optim=Optim(updates=10, rate=Rate(shape="cosine", start=0.1), clip_norm=None, betas=(0.9, 0.99)),
        rates=(Rate(shape="linear", start=1.0),),
        by_domain={"coco": Rate(shape="linear", start=2.0)},
        width=(4, 5),
    )


def test_whole_numbers_stand_for_floats_and_become_them():
    params = from_mapping(Params, changed("optim.clip_norm", 4))
    assert params.optim.clip_norm == 4.0 and type(params.optim.clip_norm) is float
    params = from_mapping(Params, changed("optim.betas", [0, 1]))
    assert [type(beta) for beta in params.optim.betas] == [float, float]


@pytest.mark.parametrize(
    "path, value, message",
    [
        ("name", 3, "name: expected text, got 3"),
        ("name", None, "name: expected text, got None"),
        ("tracking", 1, "tracking: expected true or false, got 1"),
        ("tracking", "yes", "tracking: expected true or false, got 'yes'"),
        ("optim.updates", "10", "optim.updates: expected a whole number, got '10'"),
        ("optim.updates", 10.0, "optim.updates: expected a whole number, got 10.0"),
        ("optim.updates", True, "optim.updates: expected a whole number, got True"),
        ("optim.rate.start", "1e-4", "optim.rate.start: expected a number, got '1e-4'"),
        ("optim.rate.start", True, "optim.rate.start: expected a number, got True"),
        ("optim.rate.start", None, "optim.rate.start: expected a number, got None"),
        ("optim.clip_norm", "none", "optim.clip_norm: expected a number, got 'none'"),
        ("optim.rate.shape", "cubic", "optim.rate.shape: 'cubic' is not one of cosine, linear"),
        ("views", 3, "views: 3 is not one of 1, 2"),
        ("views", True, "views: True is not one of 1, 2"),
        ("views", 1.0, "views: 1.0 is not one of 1, 2"),
        ("optim.betas", 0.9, "optim.betas: expected a list, got 0.9"),
        ("optim.betas", "0.9", "optim.betas: expected a list, got '0.9'"),
        ("optim.betas", [0.9, "x"], "optim.betas[1]: expected a number, got 'x'"),
        ("rates", [{"shape": "linear"}], "rates[0].start: missing key"),
        ("by_domain", [], "by_domain: expected a section with keys, got []"),
        ("by_domain", {"cub": {"shape": "linear", "start": "fast"}}, "by_domain.cub.start: expected a number, got 'fast'"),
        ("optim", None, "optim: expected a section with keys, got None"),
        ("optim.rate", [1], "optim.rate: expected a section with keys, got [1]"),
        ("width", "wide", "width: expected a whole number, got 'wide' or width: expected a list, got 'wide'"),
        ("width", None, "width: must not be empty"),
        ("optim.rate.start", -1, "optim.rate: start must not be negative, got -1"),
    ],
)
def test_ill_typed_values_are_named_with_their_path(path, value, message):
    assert error_of(changed(path, value)).startswith(message)


def test_unknown_keys_are_errors_with_a_suggestion():
    assert error_of(changed("optim.update", 10)) == "optim.update: unknown key (did you mean 'updates'?)"
    assert error_of({**GOOD, "zzz": 1}).startswith("zzz: unknown key (known keys: by_domain, name, optim, rates")
    assert error_of({**GOOD, 7: 1}).startswith("7: unknown key")


@pytest.mark.parametrize("name", list(GOOD))
def test_every_missing_key_is_an_error(name):
    mapping = {key: value for key, value in GOOD.items() if key != name}
    assert error_of(mapping).startswith(f"{name}: missing key (every parameter is written out")


@pytest.mark.parametrize("mapping", [None, [], "text", 3])
def test_no_section_at_all(mapping):
    assert error_of(mapping).startswith("the parameters: expected a section with keys, got")
    assert error_of(mapping, "params.yaml").startswith("params.yaml: expected a section with keys")


def test_a_prefix_stands_before_every_path():
    assert error_of(changed("optim.updates", "x"), "train_dvae").startswith("train_dvae.optim.updates: expected")
    assert error_of({**GOOD, "nam": 1}, "train_dvae") == "train_dvae.nam: unknown key (did you mean 'name'?)"


def test_a_config_error_is_a_value_error_and_other_errors_are_not_swallowed():
    @dataclass(frozen=True, kw_only=True)
    class Broken:
        updates: int

        def __post_init__(self) -> None:
            raise ZeroDivisionError

    assert issubclass(ConfigError, ValueError)
    with pytest.raises(ZeroDivisionError):
        from_mapping(Broken, {"updates": 1})


numbers = st.floats(0, 1e9, allow_nan=False)
rates = st.builds(Rate, shape=st.sampled_from(["cosine", "linear"]), start=numbers)
optims = st.builds(
    Optim, updates=st.integers(), rate=rates, clip_norm=st.none() | numbers, betas=st.lists(numbers, max_size=3).map(tuple)
)
trees = st.builds(
    Params,
    name=st.text(),
    tracking=st.booleans(),
    views=st.sampled_from([1, 2]),
    optim=optims,
    rates=st.lists(rates, max_size=3).map(tuple),
    by_domain=st.dictionaries(st.text(), rates, max_size=3),
    width=st.integers() | st.lists(st.integers(), max_size=3).map(tuple),
)


def plain(value):
    if isinstance(value, dict):
        return all(type(key) is str and plain(item) for key, item in value.items())
    return all(map(plain, value)) if isinstance(value, list) else value is None or type(value) in (str, int, float, bool)


@settings(max_examples=100, deadline=None)
@given(trees)
def test_every_tree_survives_becoming_a_plain_mapping(params):
    mapping = to_mapping(params)
    assert plain(mapping) and set(mapping) == {field.name for field in dataclasses.fields(Params)}
    assert from_mapping(Params, mapping) == params


@settings(max_examples=100, deadline=None)
@given(trees, st.sampled_from(["name", "views", "optim.updates", "optim.rate.start", "optim.rate.shape"]), st.data())
def test_a_value_of_another_type_is_always_refused(params, path, data):
    wrong = data.draw(st.one_of(st.booleans(), st.binary(), st.lists(st.integers(), max_size=2), st.none()))
    mapping = to_mapping(params)
    section = mapping
    for name in path.split(".")[:-1]:
        section = section[name]
    section[path.split(".")[-1]] = wrong
    assert error_of(mapping).startswith(f"{path}: ")
