"""params.yaml: what is impossible is refused, in one line that says where and why."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lr_ceiling.errors import ParamsError
from lr_ceiling.pipeline import params

FILE = Path(__file__).parents[2] / "params.yaml"


def changed(place: str, value: object) -> dict[str, Any]:
    """The project's own params with one value changed."""
    values: dict[str, Any] = YAML(typ="safe").load(FILE.read_text())
    *sections, key = place.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    inner[key] = value
    return values


def test_the_projects_own_params_are_right() -> None:
    loaded = params.load(FILE)
    assert loaded.grid.variants == ("baseline", "batchnorm")
    assert loaded.training.steps_per_epoch == 1875
    assert loaded.search.range["baseline"].low == 1e-4


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("grid.learning_rates", [0.01, -0.1], "grid.learning_rates.1 is -0.1: "),
        ("grid.learning_rates", [0], "grid.learning_rates.0 is 0: "),
        ("grid.learning_rates", [], "must list at least one value"),
        ("grid.learning_rates", [0.1, 0.1], "must list each value once"),
        ("grid.learning_rates", ["fast"], "grid.learning_rates.0 is 'fast': "),
        ("grid.activations", ["relux"], "'sigmoid', 'relu'"),
        ("grid.variants", "baseline", "grid.variants is 'baseline': must be a list, such as ['b"),
        (
            "grid.learning_rates",
            0.03,
            "grid.learning_rates is 0.03: must be a list, such as [0.03]",
        ),
        ("train.seeds", None, "train.seeds is None: must be a list"),
        ("training.target_accuracy", float("nan"), "training.target_accuracy is nan: "),
        ("promote.margin", float("nan"), "promote.margin is nan: "),
        ("grid.learning_rates", [float("nan")], "grid.learning_rates.0 is nan: "),
        ("training.epochs", 0, "training.epochs is 0: "),
        ("training.epochs", 1.5, "training.epochs is 1.5: "),
        ("training.epochs", True, "training.epochs is True: "),
        ("training.batch_size", "32", "training.batch_size is '32': "),
        ("training.target_accuracy", 1, "training.target_accuracy is 1: "),
        ("training.optimiser", "adam", "unknown key training.optimiser; known there: optimizer"),
        ("grid.learning_rates", [10**400], "must be a number above 0 and below 1e+30"),
        ("training.target_accuracy", 0.11, "training.target_accuracy is 0.11: "),
        ("train.seeds", [], "train.seeds is []: must list at least one value"),
        ("train.seeds", [-1], "train.seeds.0 is -1: "),
        ("search.range.baseline", {"low": 1, "high": 0.1}, "low must be below high"),
        ("search.range.baseline.hi", 3, "unknown key search.range.baseline.hi; known there: low"),
        ("search.range", {"baseline": {"low": 1, "high": 2}}, "a range for batchnorm"),
        ("search.lag", 0, "search.lag is 0: "),
        ("data.expected_digests.train_images", "beef", "data.expected_digests.train_images is "),
        ("data.timeout_seconds", float("inf"), "data.timeout_seconds is inf: "),
        ("splits.gate", 59_000, "must leave some of the 60000 images"),
        ("promote.margin", -0.1, "promote.margin is -0.1: "),
        ("promote.margin", 1, "promote.margin is 1: "),
        ("promote.floor", 1.0, "promote.floor is 1.0: "),
        ("promote.model", "a/b", "promote.model is 'a/b': "),
        ("extra", 1, "unknown key extra; known there: data, splits, grid"),
    ],
)
def test_impossible_values_are_named(place: str, value: object, said: str) -> None:
    with pytest.raises(ParamsError) as error:
        params.parse(changed(place, value))
    message = str(error.value)
    assert said in message
    assert message.startswith("params.yaml: ")
    assert "\n" not in message


def test_a_missing_key_is_named() -> None:
    values = changed("train", {})
    with pytest.raises(ParamsError, match=r"^params\.yaml: train\.seeds is missing$"):
        params.parse(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is None"),
        ("a: [", "is not YAML"),
        ("- 1", "the file is"),
        ("a: 1\na: 2", "is not YAML"),
        ("a: 2024-13-45", "is not YAML"),
        ("a: !!python/object/apply:os.system [touch built]", "is not YAML"),
        ("a: " + "[" * 1_500, "nested too deeply"),
        ("a: " + "9" * 5_000, "is not YAML"),
    ],
)
def test_a_broken_file_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as error:
        params.load(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("built").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (".nan", "training.target_accuracy is nan: "),
        ("1e400", "training.target_accuracy is inf: "),
        ("-.inf", "training.target_accuracy is -inf: "),
        ("1e-400", "training.target_accuracy is 0.0: "),
        ("[0.9]", "training.target_accuracy is [0.9]: "),
        ("{a: {b: [c]}}", "training.target_accuracy is {'a': {'b': [...]}}: "),
        ("!!binary aGVsbG8=", "training.target_accuracy is b'hello': "),
        ("!!omap [a: 1]", "training.target_accuracy is ordereddict("),
        ("!unknown 1", "is not YAML"),
        ("!!python/name:os.system", "is not YAML"),
        ("!!python/object/new:os.system [touch built]", "is not YAML"),
    ],
)
def test_what_yaml_can_write_is_refused_where_it_is_no_number(
    value: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    text = FILE.read_text()
    path.write_text(text.replace("target_accuracy: 0.9", f"target_accuracy: {value}"))
    assert path.read_text() != text
    with pytest.raises(ParamsError) as error:
        params.load(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_file_with_changed_bytes_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    content = bytearray(FILE.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(content)
        said = ""
        try:
            params.load(path)
        except ParamsError as error:
            said = str(error)
        assert not said or said.isprintable()


# Nine times as much with each line.
LISTS = ["a0: &a0 [x]"] + [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(7)]
MERGES = ["a0: &a0 {x: 1}"] + [
    f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 9)}]}}" for n in range(7)
]


def test_a_large_value_is_shown_in_short(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *LISTS[1:4]]
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(lines) + "\n" + FILE.read_text().replace("seeds: [", "seeds: *a3 #"))
    with pytest.raises(ParamsError) as error:
        params.load(path)
    assert "seeds" in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "lines",
    [
        LISTS,
        MERGES,
        # The reader's message for a key that is there twice has both values.
        [*LISTS, "b: {x: *a7, x: 1}"],
        ["a: &a [*a]"],
        ["a: &a {<<: *a, x: 1}"],
        ["a: &a {<<: [*a, *a]}"],
        ["a: &a", " b: &b {<<: *a}", " <<: *b"],
    ],
    ids=["lists", "merges", "twice", "itself", "merged itself", "merged twice", "each other"],
)
def test_aliases_that_grow_without_end_are_refused(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ParamsError) as error:
        params.load(path)
    assert str(error.value).startswith(f"{path} has more than 100,000 values if its aliases")
    assert "\n" not in str(error.value)


def test_sections_may_be_merged(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = FILE.read_text()
    path.write_text(text.replace("\nusable:\n", "\nusable:\n  <<: {runs: 5, loss: 0.5}\n"))
    assert path.read_text() != text
    assert params.load(path) == params.load(FILE)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="run this in the project's folder"):
        params.load(tmp_path / "params.yaml")


def test_a_folder_in_place_of_the_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="can't be read: Is a directory"):
        params.load(tmp_path)


def test_exponents_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(FILE.read_text().replace("[0.001, 0.01]", "[1e-3, 1]"))
    assert params.load(path).grid.learning_rates == (0.001, 1)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(section=st.sampled_from(sorted(params.Params.model_fields)), value=junk)
def test_junk_is_refused_in_one_line(section: str, value: object) -> None:
    with pytest.raises(ParamsError) as error:
        params.parse(changed(section, value))
    assert "\n" not in str(error.value)


def test_params_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.load(FILE).train.seeds = (1,)
