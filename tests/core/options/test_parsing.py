"""Command line, YAML and defaults: precedence, one type check, and errors that name the cure."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import train
from core.errors import UserError
from core.options import (
    OPTIONS,
    EvaluationOptions,
    PoseEvaluationOptions,
    PredictionOptions,
    SplitOptions,
    option,
)
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options, parse, parse_method, save_options
from tests.conftest import ROOT


@dataclasses.dataclass
class Small:
    """A few options of every kind."""

    height: int = option(192, "height")
    learning_rate: float = option(1e-4, "rate; 50% is no format")
    frame_ids: list[int] = option((0, -1, 1), "frames")
    names: list[str] = option(("a",), "names", choices=("a", "b"))
    use_stereo: bool = option(False, "stereo")
    no_ssim: bool = option(False, "no ssim")
    folder: str | None = option(None, "folder", path=True)
    limit: float | None = option(None, "limit")
    precision: str = option("32", "precision", choices=("32", "bf16"))


def small(*argv: str) -> Small:
    return parse(Small, list(argv))


def yaml_file(tmp_path: Path, text: str, name: str = "options.yml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_defaults_and_command_line() -> None:
    assert small() == Small()
    options = small("--frame_ids", "0", "-2", "2", "--use_stereo", "--height=64", "--learning_rate", "2e-4")
    assert options == Small(frame_ids=[0, -2, 2], use_stereo=True, height=64, learning_rate=2e-4)


def test_default_lists_are_not_shared() -> None:
    small().frame_ids.append(7)
    assert small().frame_ids == [0, -1, 1]


def test_precedence(tmp_path: Path) -> None:
    first = yaml_file(tmp_path, "height: 64\nlearning_rate: 1e-3\nuse_stereo: true\nframe_ids: 0\n", "a.yml")
    second = yaml_file(tmp_path, "height: 96\nlimit: 5\n", "b.yml")
    options = small("--height", "128", "--config", str(first), "--no_use_stereo", "--config", str(second))
    assert options == Small(height=128, learning_rate=1e-3, frame_ids=[0], limit=5.0)
    assert small("--config", str(first), "--config", str(second)).height == 96
    assert small("--config", str(first)).use_stereo is True


def test_none_and_home(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "folder: ~/weights\nlimit: null\n")
    assert small("--config", str(path)).folder == str(Path.home() / "weights")
    assert small("--config", str(path), "--folder", "none").folder is None


@dataclasses.dataclass
class WithSource:
    """One option without a name."""

    source: str | None = option(None, "what to read", path=True, positional=True)
    force: bool = option(False, "force")
    sizes: list[int] = option((1,), "sizes")


def test_positional(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ["a", "--force"],
        ["--force", "a"],
        ["--sizes", "3", "--force", "a"],
        ["--force", "--", "a"],
    ):
        options = parse(WithSource, argv)
        assert options.source == "a" and options.force
    assert parse(WithSource, ["~/a"]).source == str(Path.home() / "a")
    assert parse(WithSource, []).source is None
    config = ["--config", str(yaml_file(tmp_path, "source: b\n"))]
    assert parse(WithSource, config).source == "b" and parse(WithSource, [*config, "a"]).source == "a"
    with pytest.raises(UserError, match="unexpected argument 'b'"):
        parse(WithSource, ["a", "b"])
    with pytest.raises(UserError, match="unknown option --source"):
        parse(WithSource, ["--source", "a"])
    with pytest.raises(SystemExit):
        parse(WithSource, ["--help"])
    assert "SOURCE [--config" in capsys.readouterr().out


def test_flag_that_begins_with_no() -> None:
    assert small("--no_ssim").no_ssim is True
    assert small("--no_ssim", "--no_no_ssim").no_ssim is False


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--heigth", "3"], "unknown option --heigth: did you mean --height?"),
        (["--heigth=3"], "unknown option --heigth: did you mean --height?"),
        (["--use-stereo"], "unknown option --use-stereo: did you mean --use_stereo?"),
        (["--high", "3"], "unknown option --high"),
        (["--heig", "3"], "did you mean --height?"),  # abbreviations are not taken
        (["--no_cuda"], "unknown option --no_cuda: use --device cpu"),
        (["photo.png"], "unexpected argument 'photo.png'"),
        (["--height"], "--height: expected one argument"),
        (["--height", "192.5"], "option --height: expected a whole number, not '192.5'"),
        (["--learning_rate", "fast"], "option --learning_rate: expected a number, not 'fast'"),
        (["--learning_rate", "nan"], "option --learning_rate: expected a number"),
        (["--names", "a", "c"], "option --names: 'c' is none of a, b"),
        (["--frame_ids", "0", "x"], "option --frame_ids: expected a whole number, not 'x'"),
        (["--config", "absent.yml"], "absent.yml: cannot read the options"),
    ],
)
def test_mistakes_on_the_command_line(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        small(*argv)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heigth: 3", "unknown option 'heigth': did you mean height?"),
        ("height: 192.5", "height: expected a whole number, not 192.5"),
        ("height: true", "height: expected a whole number, not True"),
        ("height:", "height: expected a whole number, not None"),
        ("height: [1, 2]", "height: expected a whole number, not a list"),
        ("height: 1e400", "height: expected a whole number, not '1e400'"),
        ("height: 0x" + "f" * 9999, f"height: expected a whole number, not '0x{'f' * 77}…"),
        ("height: " + "9" * 9999, f"height: expected a whole number, not '{'9' * 79}…"),
        ("height: " + "a" * 9999, f"height: expected a whole number, not '{'a' * 79}…"),
        ("precision: 0x" + "f" * 9999, f"precision: '0x{'f' * 77}…"),
        ("a: &a [1]\nheight: *a", "has aliases (*name); write their values out (line 2)"),
        ("#" * (65 << 10), "cannot be options: it has more than 64 KiB; check the path"),
        ("a" * 999 + ": 1", f"unknown option '{'a' * 79}… (see --help)"),
        ("0x" + "f" * 999 + ": 1", f"unknown option '0x{'f' * 77}…"),
        ("height: !" + "a" * 9999 + " 1", "not valid YAML"),
        ("learning_rate: .inf", "learning_rate: expected a number"),
        ("use_stereo: 1", "use_stereo: expected true or false, not 1"),
        ("folder: 20110926", "folder: expected text, not 20110926; put it in quotes"),
        ("frame_ids: []", "frame_ids: the list is empty"),
        ("precision: 16", "precision: expected text"),
        ("- height", "expected lines `option: value`, not a list"),
        ("3: 4", "unknown option 3"),
        ("height: [", "not valid YAML"),
        ("height: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("[" * 500, "not valid YAML: more than 16 levels in each other"),
        ("[" * 500 + "]" * 500, "not valid YAML: more than 16 levels in each other"),
        ("height: 192\nheight: 64", "'height' stands there twice; keep one (line 2)"),
        ("height: !!int ''", "has tags (!name); write the value alone (line 1)"),
        ("height: 1_000", "height: expected a whole number, not '1_000'"),
        ("height: 3:12", "height: expected a whole number, not '3:12'"),
        ("learning_rate: 1:0.5", "learning_rate: expected a number, not '1:0.5'"),
    ],
)
def test_mistakes_in_yaml_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = yaml_file(tmp_path, text)
    for read in (lambda: small("--config", str(path)), lambda: load_options(Small, path)):
        with pytest.raises(UserError) as error:
            read()
        assert message in str(error.value)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_a_few_lines_that_stand_for_gigabytes(tmp_path: Path) -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = yaml_file(tmp_path, "\n".join(["a0: &a0 [x]", *levels, "height: *a11"]))
    with pytest.raises(UserError, match="has aliases"):
        load_options(Small, path)


def test_yaml_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "options.yml"
    path.write_bytes(b"\xff\xff\x00")
    with pytest.raises(UserError, match="not a text file"):
        load_options(Small, path)
    path.write_text("height: 64\n", encoding="utf-16")  # as PowerShell's > does
    with pytest.raises(UserError, match="it is UTF-16; save it as UTF-8"):
        load_options(Small, path)


def test_yaml_as_users_write_it(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "learning_rate: 1e-4\nprecision: 32\nframe_ids: [0, -1]\nlimit: none\n")
    assert load_options(Small, path) == Small(frame_ids=[0, -1])
    path = yaml_file(
        tmp_path, "height: 0100\nfolder: 2011_09_26\nlimit: -.5\nnames: [b, 'a']\nuse_stereo: Yes\n"
    )
    assert load_options(Small, path) == Small(
        100, folder="2011_09_26", limit=-0.5, names=["b", "a"], use_stereo=True
    )
    assert load_options(Small, yaml_file(tmp_path, "")) == Small()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="~"), max_size=12).filter(
    lambda t: t.lower() != "none"
)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=30, deadline=None)
@given(
    st.builds(
        Small,
        height=st.integers(),
        learning_rate=NUMBER,
        frame_ids=st.lists(st.integers(), min_size=1),
        names=st.lists(st.sampled_from("ab"), min_size=1),
        use_stereo=st.booleans(),
        no_ssim=st.booleans(),
        folder=st.none() | TEXT,
        limit=st.none() | NUMBER,
        precision=st.sampled_from(["32", "bf16"]),
    )
)
@example(Small(folder="路径/\x85a"))
def test_saving_and_loading_changes_nothing(options: Small) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "options.yaml"
        save_options(options, path)
        assert load_options(Small, path) == options
        assert parse(Small, ["--config", str(path)]) == options


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(),
    learning_rate=NUMBER.filter(lambda value: not str(value).startswith("-")),
    frame_ids=st.lists(st.integers(), min_size=1),
)
def test_command_line_and_yaml_agree(height: int, learning_rate: float, frame_ids: list[int]) -> None:
    argv = ["--height", str(height), "--learning_rate", repr(learning_rate)]
    options = parse(Small, [*argv, "--frame_ids", *map(str, frame_ids)])
    assert options == Small(height=height, learning_rate=learning_rate, frame_ids=frame_ids)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--height", "100"], "option height: 100"),
        (["--width", "32"], "option width: 32"),
        (["--frame_ids", "-1", "0"], "the first must be 0"),
        (["--frame_ids", "0", "1", "1"], "names a frame twice"),
        (["--frame_ids", "0"], "no source view"),
        (["--predictive_mask"], "requires disable_automasking"),
        (["--scales", "1", "2"], "lacks 0"),
        (["--scales", "0", "0"], "names a scale twice"),
        (["--scales", "4"], "4 is none of 0, 1, 2, 3"),
        (["--batch_size", "0"], "option batch_size: 0 is too small"),
        (["--learning_rate", "0"], "option learning_rate"),
        (["--min_depth", "0"], "the minimum 0.0 must be above 0"),
        (["--min_depth", "5", "--max_depth", "5"], "5.0 must be below 5.0"),
        (["--device", "gpu"], "option device: 'gpu' is none of"),
        (["--model_name", "../elsewhere"], "option model_name"),
        (["--split", "splits/eigen_zhou/train_files.txt"], "would be validated on as well"),
        (["--seed", "-1"], "option seed: -1 is not between 0 and 2147483647"),
        (["--seed", "99999999999999999999"], "option seed: 99999999999999999999 is not between 0 and"),
    ],
)
def test_training_options_that_cannot_work(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(Monodepth2Options, argv)
    assert message in str(error.value)


def test_frames() -> None:
    assert parse(Monodepth2Options, []).frames == [0, -1, 1]
    assert parse(Monodepth2Options, ["--frame_ids", "0", "--use_stereo"]).frames == [0, "s"]
    masked = parse(Monodepth2Options, ["--predictive_mask", "--disable_automasking"])
    assert masked.predictive_mask and masked.disable_automasking


PREDICT_ONLY = ["--eval_mono", "--load_weights_folder", "w", "--no_eval", "--save_pred_disps"]
SAVED = ["--eval_mono", "--ext_disp_to_eval", "d.npy"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--load_weights_folder", "w"], "exactly one of --eval_mono and --eval_stereo"),
        (["--load_weights_folder", "w", "--eval_mono", "--eval_stereo"], "exactly one of --eval_mono"),
        (["--eval_mono"], "exactly one of --load_weights_folder, --ext_disp_to_eval and --pred_depth"),
        (["--eval_mono", "--ext_disp_to_eval", "d.npy", "--no_eval"], "option no_eval"),
        (["--eval_mono", "--load_weights_folder", "w", "--depth_cap", "0"], "options depth_cap"),
        ([*PREDICT_ONLY, "--output", "m.json"], "option output: there are no metrics with --no_eval"),
        ([*PREDICT_ONLY, "--csv", "m.csv"], "option csv: there are no metrics with --no_eval"),
        ([*SAVED, "--min_depth", "1"], "option min_depth: no network runs with --ext_disp_to_eval"),
        ([*SAVED, "--max_depth", "1"], "option max_depth: no network runs"),
        ([*SAVED, "--num_layers", "50"], "option num_layers: no network runs"),
    ],
)
def test_evaluation_options_that_cannot_work(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(EvaluationOptions, argv)
    assert message in str(error.value)


FOLLOWS = "an option of train.py; here it follows from the weights folder: leave it out"


@pytest.mark.parametrize(
    ("options_class", "name", "cure"),
    [
        (EvaluationOptions, "--use_stereo", FOLLOWS),  # not --eval_stereo, which changes the metric
        (EvaluationOptions, "--frame_ids", FOLLOWS),
        (PoseEvaluationOptions, "--frame_ids", FOLLOWS),
        (PoseEvaluationOptions, "--eval_mono", "an option of evaluate_depth.py; leave it out"),
        (EvaluationOptions, "--ckpt", "use --load_weights_folder"),
        (EvaluationOptions, "--split_path", "use --eval_split"),
        (PredictionOptions, "--save-vis", "use --save vis, or --save npy vis"),
        (SplitOptions, "--frame_idx", "did you mean --frame_ids?"),
    ],
)
def test_options_of_another_script(options_class: type, name: str, cure: str) -> None:
    """As command lines of the published program have them."""
    with pytest.raises(UserError) as error:
        parse(options_class, [name, "1"])
    assert str(error.value) == f"unknown option {name.partition('=')[0]}: {cure}"


SCRIPT = """
import sys
from core.errors import run
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
def main(argv):
    parse(Monodepth2Options, argv, "Trains a depth network.")
    print(sorted({"numpy", "torch", "paddle", "cv2"} & set(sys.modules)))
run(main)
"""
# What `--help`, which ends the process, had imported by then: on stderr.
NOTED = """
import atexit, sys
before = set(sys.modules)
atexit.register(lambda: print(*sorted(set(sys.modules) - before), file=sys.stderr))
"""


def run_script(*argv: str, first: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", first + SCRIPT, *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_is_instant_and_complete() -> None:
    """Instant is what imports little: the standard library and our own few modules, about a hundred in all."""
    result = run_script("--help", first=NOTED)
    assert result.returncode == 0
    imported = result.stderr.split()
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"core"}
    assert "core.options.parsing" in imported and len(imported) < 150
    for field in dataclasses.fields(Monodepth2Options):
        assert f"--{field.name} " in result.stdout or f"--{field.name}\n" in result.stdout
    assert "separate_resnet|shared|posecnn" in result.stdout
    assert "(default: 0.0001)" in result.stdout


def test_help_with_a_percent_sign(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        small("--help")
    assert "50% is no format" in capsys.readouterr().out


def test_parsing_imports_neither_numpy_nor_a_framework() -> None:
    assert run_script().stdout == "[]\n"


def test_a_mistake_ends_with_2_and_one_line() -> None:
    result = run_script("--heigth", "192")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: unknown option --heigth: did you mean --height?\n"


def printed(capsys: pytest.CaptureFixture[str], read: Callable[[], object]) -> str:
    """What `--print_config` or `--version` prints before it ends the program with 0."""
    with pytest.raises(SystemExit) as ended:
        read()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_print_config_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = yaml_file(tmp_path, "height: 64\nlearning_rate: 1e-3\nframe_ids: 0\n")
    argv = ["--config", str(first), "--height", "96", "--folder", "路径/\x85a"]
    again = yaml_file(tmp_path, printed(capsys, lambda: small(*argv, "--print_config")), "again.yml")
    assert small("--config", str(again)) == small(*argv)
    with pytest.raises(UserError, match="unknown option 'print_config'"):
        small("--config", str(yaml_file(tmp_path, "print_config: true\n")))
    with pytest.raises(UserError, match="expected a whole number"):
        small("--height", "x", "--print_config")


@pytest.mark.parametrize("method", OPTIONS)
def test_print_config_of_every_method(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the script itself; the file says the method."""
    argv = ["--method", method, "--model_name", "mine", "--batch_size", "3", "--no_validation"]
    text = printed(capsys, lambda: train.main([*argv, "--print_config"]))
    again = parse_method(["--config", str(yaml_file(tmp_path, text))])
    assert again == parse_method(argv) and type(again) is OPTIONS[method]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\nnumpy " in printed(capsys, lambda: small("--version"))
    assert "Python 3." in printed(capsys, lambda: train.main(["--version"]))


def test_a_file_without_config_is_told_how() -> None:
    with pytest.raises(UserError, match=r"'train_kitti\.yaml': a file of options is given by --config"):
        small("train_kitti.yaml")
