"""Every command line of every README is understood: its script, its options, its files, the names of its runs."""

import importlib
import importlib.util
import io
import re
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest
import yaml

from core.datasets.splits import LISTS
from core.errors import UserError
from core.options.methods import OPTIONS
from core.weights.releases import FOLDER, load_zoo
from tests.readmes import READMES, ROOT, Command, commands

NAMES = [str(path.relative_to(ROOT)) for path in READMES]
OURS = ("core", "benchmarks", "tests")
OTHERS = ("pip", "venv", "pytest", "pre_commit", "paddle", "torch")
# Any other is the user's.
OURS_CONFIG = re.compile(r"configs/.*")


@cache
def settings(command: Command) -> dict[str, object]:
    """All options of a script's command, as it prints them.

    Raises:
        UserError: it does not understand them.
    """
    arguments = command.arguments
    words = [word for number, word in enumerate(arguments) if not _is_users(arguments, number)]
    method = command.readme.parent.name
    if len(words) < len(arguments) and method in OPTIONS:
        words += ["--method", method]  # as that file says
    if "--print_config" not in words:
        words.append("--print_config")
    assert command.script is not None
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        importlib.import_module(command.script.removesuffix(".py")).main(words)
    found: dict[str, object] = yaml.safe_load(out.getvalue())
    return found


def _is_users(words: list[str], number: int) -> bool:
    """Whether a word is `--config` of a file that is not of ours, or that file."""
    pair = (
        words[number : number + 2] if words[number] == "--config" else words[max(0, number - 1) : number + 1]
    )
    return len(pair) == 2 and pair[0] == "--config" and OURS_CONFIG.fullmatch(pair[1]) is None


def of_scripts(name: str) -> list[Command]:
    return [command for command in commands(ROOT / name) if command.script is not None]


@pytest.mark.parametrize("name", NAMES)
def test_scripts_understand_their_options(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    faults = []
    for command in of_scripts(name):
        try:
            settings(command)
        except UserError as error:
            # Of what is mentioned in a text only the names count: the rest is left out there.
            if command.whole or "unknown option" in str(error) or "unexpected argument" in str(error):
                faults.append(f"{name}:{command.number}: {' '.join(command.words)}: {error}")
    assert faults == []


@pytest.mark.parametrize("name", NAMES)
def test_programs_and_modules_are_there(name: str) -> None:
    for command in commands(ROOT / name):
        where = f"{name}:{command.number}: {' '.join(command.words)}"
        if command.words[0] == "bash":
            assert (ROOT / command.words[1]).is_file(), where
        if command.script is not None:
            assert (ROOT / command.script).is_file(), where
        if command.module is None:
            continue
        assert command.module.partition(".")[0] in (*OURS, *OTHERS), where
        if command.module.startswith(OURS):
            assert importlib.util.find_spec(command.module) is not None, where
        arguments = command.words[command.words.index(command.module) + 1 :]
        if command.module == "core.weights.zoo":
            assert set(arguments) <= set(load_zoo(FOLDER)), where
        if command.module == "core.datasets.kitti_archives":
            assert set(arguments) <= set(LISTS), where


@pytest.mark.parametrize("name", NAMES)
def test_every_training_has_a_run_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that lines that are copied one after the other mix no runs, and weights are those of a training above."""
    monkeypatch.chdir(ROOT)
    trained: dict[str, tuple[str, ...]] = {}
    recipes = {yaml.safe_load(path.read_text()).get("model_name") for path in ROOT.glob("configs/**/*.yml")}
    for command in of_scripts(name):
        if not command.whole:
            continue
        found = settings(command)
        where = f"{name}:{command.number}: {' '.join(command.words)}"
        weights = found.get("load_weights_folder")
        if isinstance(weights, str) and weights.startswith("runs/"):
            assert Path(weights).parts[1] in trained or Path(weights).parts[1] in recipes, (
                f"{where}: nothing trains it"
            )
        begins = (
            command.script == "train.py" and not found["dry_run"] and "--print_config" not in command.words
        )
        if (
            not begins
            or found["resume"]
            or any(_is_users(command.arguments, n) for n in range(len(command.arguments)))
        ):
            continue
        run = str(found["model_name"])
        assert run not in trained, f"{where}: also {trained.get(run)}"
        trained[run] = command.words


# What refuses to write where something is, and the option, or the first of them, that says where.
REFUSING = {
    "make_rays.py": ("output",),
    "make_split.py": ("output", "data_path"),
    "convert_weights.py": ("output",),
}


@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_refused_what_an_earlier_one_wrote(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    written: dict[tuple[str, object], int] = {}
    for command in of_scripts(name):
        if not command.whole or command.script not in REFUSING or "--force" in command.words:
            continue
        found = settings(command)
        place = next(
            (found[option] for option in REFUSING[command.script] if found[option] is not None), None
        )
        if place is not None:
            where = f"{name}:{command.number}: {' '.join(command.words)}"
            before = written.setdefault((command.script, place), command.number)
            assert before == command.number, f"{where}: also line {before}"


def test_there_are_many() -> None:
    found = [command for readme in READMES for command in commands(readme)]
    assert len(found) > 250 and sum(command.whole for command in found) > 100


def test_a_wrong_line_would_be_seen(tmp_path: Path) -> None:
    block = "```bash\npython predict.py --image_pth a.jpg \\\n    --load_weights_folder W   # so\n```\n"
    text = f"{block}`train.py --nonsense 1`\n"
    (tmp_path / "README.md").write_text(text)
    one, other = commands(tmp_path / "README.md")
    assert one.words == ("python", "predict.py", "--image_pth", "a.jpg", "--load_weights_folder", "W")
    assert (one.number, one.whole, other.number, other.whole) == (2, True, 5, False)
    for command in (one, other):
        with pytest.raises(UserError, match="unknown option"):
            settings(command)


def meaning(command: Command) -> tuple[object, ...]:
    """A script and its words in any order, without the framework, which differs."""
    words = [word for word in command.arguments if word.isascii() and word not in ("FILE", "FOLDER")]
    return command.script, *sorted(set(words) - {"--backend", "torch", "paddle"})


@pytest.mark.parametrize(
    "name", [name for name in NAMES if (ROOT / name).with_name("README.zh-CN.md").is_file()]
)
def test_both_languages_have_the_same_lines(name: str) -> None:
    both = [
        of_scripts(str((ROOT / name).with_name(one).relative_to(ROOT)))
        for one in ("README.md", "README.zh-CN.md")
    ]
    one, other = (
        sorted(map(str, (meaning(command) for command in found if command.whole))) for found in both
    )
    assert one == other
