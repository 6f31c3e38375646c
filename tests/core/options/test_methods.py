"""The options of methods: found in two steps, with their authors' spellings; what a class says of its method."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.errors import UserError
from core.options import OPTIONS, Options, option
from core.options.mixins import StepDecay
from core.options.parsing import load_method_options, parse_method, save_options
from core.options.tools import parity_options
from core.options.training import method_names


@dataclass
class Other(StepDecay):
    """Another method (nobody, never)."""

    ALIASES: ClassVar[Mapping[str, str]] = {"lr": "learning_rate", "with-flow": "flow"}
    REJECTED: ClassVar[Mapping[str, str]] = {"with_mask": "a mask is always there; leave it out"}
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {
        "net": lambda words: {"batch_size": int(words[0].removeprefix("net"))},
        "ids": lambda words: {"sides": [0, *map(int, words)]},
    }
    MODEL: ClassVar[tuple[str, ...]] = ("flow", "sides")
    LEAST_SIDE: ClassVar[int] = 80

    method: str = option("other", "which paper", choices=method_names)
    batch_size: int = option(3, "samples per step")
    flow: bool = option(False, "optical flow")
    sides: list[int] = option((1, 2), "sides")


@pytest.fixture(autouse=True)
def other(monkeypatch) -> Iterator[type[Options]]:
    monkeypatch.setitem(OPTIONS, "other", Other)
    yield Other


def yaml_file(folder: Path, text: str) -> str:
    path = folder / f"{len(list(folder.iterdir()))}.yml"
    path.write_text(text)
    return str(path)


def test_the_first_method_is_the_one_that_is_not_named():
    first = next(iter(OPTIONS))
    assert type(parse_method([])) is OPTIONS[first] and parse_method([]).method == first


def test_the_method_is_named_on_the_command_line_or_in_a_file(tmp_path):
    file = yaml_file(tmp_path, "method: other\nflow: true\n")
    for argv in (["--method", "other"], ["--flow", "--method=other"], ["--config", file]):
        options = parse_method(argv)
        assert isinstance(options, Other) and (options.method, options.batch_size) == ("other", 3)
    first = next(iter(OPTIONS))
    of_first = yaml_file(tmp_path, f"method: {first}\n")
    assert isinstance(parse_method(["--config", of_first, "--config", file]), Other)
    assert type(parse_method(["--config", of_first, "--method", first])) is OPTIONS[first]
    with pytest.raises(UserError, match="flow"):  # an option of the other one in a file of the first
        parse_method(["--config", file, "--method", first])


@pytest.mark.parametrize("argv", [["--method", "othre"], ["--method=othre", "--help"]])
def test_a_method_that_is_not_here(argv):
    with pytest.raises(
        UserError, match=r"option --method: 'othre' is no method that is here; did you mean other\?"
    ):
        parse_method(argv)


def test_a_method_that_is_not_here_in_a_file(tmp_path):
    file = yaml_file(tmp_path, "method: [1]\n")
    with pytest.raises(UserError, match="method: a list is no method that is here; there are "):
        parse_method(["--config", file])


def test_options_of_a_folder_are_those_of_its_method(tmp_path):
    path = tmp_path / "options.yaml"
    save_options(Other(flow=True), path)
    assert load_method_options(path) == Other(flow=True)
    path.write_text("method: gone\n")
    with pytest.raises(UserError, match=r"options\.yaml: method: 'gone' is no method"):
        load_method_options(path)


def test_authors_spellings(tmp_path):
    options = parse_method(["--method", "other", "--lr", "0.5", "--with-flow"])
    assert (options.learning_rate, options.flow) == (0.5, True)
    file = yaml_file(tmp_path, "method: other\nlr: 1e-3\nwith-flow: true\n")
    options = parse_method(["--config", file])
    assert (options.learning_rate, options.flow) == (1e-3, True)
    with pytest.raises(UserError, match="--with_mask: a mask is always there"):
        parse_method(["--method", "other", "--with_mask"])
    with pytest.raises(UserError, match="unknown option 'with_mask': a mask is always there"):
        parse_method(["--config", yaml_file(tmp_path, "method: other\nwith_mask: 1\n")])


@pytest.mark.parametrize(
    ("argv", "sides"),
    [(["--ids", "-1", "1"], [0, -1, 1]), (["--ids", "[-1,1]"], [0, -1, 1]), (["--ids=[2,", "3]"], None)],
)
def test_options_of_the_authors_in_other_words(argv, sides):
    if sides is None:
        with pytest.raises(UserError):
            parse_method(["--method", "other", *argv])
        return
    options = parse_method(["--method", "other", "--net", "net7", *argv])
    assert (options.batch_size, options.sides) == (7, sides)
    assert parse_method(["--method", "other", "--net", "net7", "--batch_size", "2"]).batch_size == 2
    with pytest.raises(UserError, match=r"^option --net: "):
        parse_method(["--method", "other", "--net", "large"])


def test_lines_of_keys_and_values(tmp_path):
    """As the authors' files have them, with the same checks as YAML."""
    file = tmp_path / "kitti.txt"
    file.write_text(
        "# a comment\nmethod = other\nlr = 1e-3  ; rate\n\nnet= net5\nids = [-1, 1]\nwith-flow\nbatch_size: 4\n"
    )
    options = parse_method(["--config", str(file)])
    assert (options.learning_rate, options.sides, options.flow) == (1e-3, [0, -1, 1], True)
    assert options.batch_size == 4  # ours, over theirs
    file.write_text("method = other\nsides = 3 4\nno_flow = false\nno_mirroring = true\nlog_dir = 'a b'")
    options = parse_method(["--config", str(file)])
    assert (options.sides, options.flow, options.mirroring, options.log_dir) == ([3, 4], True, False, "a b")
    assert parse_method(["--config", str(file), "--no_flow"]).flow is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method = other\nflou = true", "unknown option 'flou': did you mean flow"),
        ("method = other\nbatch_size = many", "batch_size: expected a whole number, not 'many'"),
        ("method = other\nnet = large", "kitti.txt: net: "),
        ("method = other\n= 3", "line 2: '= 3' is not `key = value`"),
        ("method = others", "kitti.txt: method: 'others' is no method"),
        ("x" * (65 << 10), "more than 64 KiB"),
    ],
)
def test_mistakes_in_lines_of_keys_and_values(tmp_path, text, message):
    file = tmp_path / "kitti.txt"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        parse_method(["--config", str(file)])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_option_of_another_method_is_named_as_such():
    with pytest.raises(UserError, match="--flow: an option of --method other; leave it out"):
        parse_method(["--flow"])


def test_help_shows_the_options_of_the_method(capsys):
    with pytest.raises(SystemExit):
        parse_method(["--method", "other", "--help"])
    text = capsys.readouterr().out
    assert "Another method" in text and "--flow" in text and "--with-flow" not in text
    assert f"--method {'|'.join(OPTIONS)}" in text or "--method other" in text


def test_parity_leaves_the_model_open_and_takes_a_legal_size():
    options = parse_method(["--method", "other"], options_of=parity_options)
    assert (options.method, options.flow, options.sides) == ("other", None, None)
    assert (options.height, options.width) == (96, 96)
    options = parse_method(["--method", "other", "--flow", "--sides", "3"], options_of=parity_options)
    assert (options.flow, options.sides) == (True, [3])


@pytest.mark.parametrize("name", list(OPTIONS))
def test_what_a_class_says_is_legal(name):
    """Its name, its cheapest setting, and what it refers to by name."""
    kind = OPTIONS[name]
    options = kind(**kind.SMALL)
    options.validate()
    assert options.method == name
    fields = set(kind.__dataclass_fields__)
    assert set(kind.MODEL) <= fields and set(kind.ALIASES.values()) <= fields
    assert not set(kind.REJECTED) & (fields | set(kind.ALIASES))
    for part in ("train", "val"):
        assert options.needs(part).frames[0] == 0
        assert options.listings(part)
    rates = [options.rates(step, 10) for step in (0, 1, 10_000)]
    assert len({len(rate) for rate in rates}) == 1 and min(min(rate) for rate in rates) > 0
    assert options.describe().startswith(name)
    value_name, value = options.criterion({"loss": 2.0, "de/abs_rel": 0.5})
    assert value in (2.0, 0.5) and isinstance(value_name, str)


def test_a_validation_without_anything_to_go_by():
    assert Other().criterion({"loss": 2.0}) == ("loss", 2.0)
    assert Other().criterion({"loss": 2.0, "de/abs_rel": 0.5}) == ("de/abs_rel", 0.5)
    with pytest.raises(UserError, match="neither source views for a loss nor true depth"):
        Other().criterion({})


def test_a_run_starts_from_all_its_networks_unless_some_are_named():
    class Networks(Other):
        NETWORKS = ("one", "two")

    assert Networks().starts() == {}
    assert Networks(load_weights_folder="w").starts() == {"one": ("w", "one"), "two": ("w", "two")}
    assert Networks(load_weights_folder="w", models_to_load=["two"]).starts() == {"two": ("w", "two")}


def test_a_preset_of_switches_and_what_is_given_beside_it(monkeypatch, tmp_path):
    @dataclass
    class Switched(Other):
        PRESETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
            "corrected": {},
            "official": {"flow": True, "sides": [7]},
        }

        compatibility: str = option("corrected", "preset", choices=("corrected", "official"))

    monkeypatch.setitem(OPTIONS, "other", Switched)
    named = ["--method", "other", "--compatibility", "official"]
    options = parse_method(named)
    assert (options.flow, options.sides, options.compatibility) == (True, [7], "official")
    assert parse_method([*named, "--no_flow"]).flow is False
    file = yaml_file(tmp_path, "method: other\nsides: [3]\n")
    assert parse_method([*named, "--config", file]).sides == [3]
    assert parse_method(["--method", "other"]).sides == [1, 2]
    save_options(parse_method([*named, "--no_flow"]), tmp_path / "options.yaml")
    assert load_method_options(tmp_path / "options.yaml").flow is False  # the result, not the preset, is kept
