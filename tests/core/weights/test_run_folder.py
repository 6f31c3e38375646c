"""A run, or its `models/`, in place of a folder of weights: the best, else the last, and which is said."""

from pathlib import Path

import pytest

import core.weights.zoo
from core.errors import UserError
from core.weights.run_folder import weights_of
from core.weights.zoo import resolve_weights
from tests.scripts import assert_says, refused


def make_run(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / "models" / name).mkdir(parents=True)
        (folder / "models" / name / "encoder.pth").touch()
    (folder / "options.yaml").write_text("height: 64\n")
    return folder


@pytest.mark.parametrize(
    ("names", "chosen", "why"),
    [
        (["weights_0", "weights_best", "weights_19"], "weights_best", "the best by its validation"),
        (["weights_9", "weights_10", "weights_initial", "step_9000"], "weights_10", "the last there is"),
        (["step_9", "step_10"], "step_10", "the last there is"),
        (["weights_initial"], "weights_initial", "the last there is"),
    ],
)
@pytest.mark.parametrize("inside", ["", "models"])
def test_the_best_else_the_last(
    tmp_path: Path, capsys, names: list[str], chosen: str, why: str, inside: str
) -> None:
    named = make_run(tmp_path / "runs" / "mdp", *names) / inside
    (tmp_path / "runs" / "mdp" / "models" / "weights_99").mkdir()  # holds nothing
    found = resolve_weights(named)
    assert found == tmp_path / "runs" / "mdp" / "models" / chosen
    assert capsys.readouterr().err == f"{named}: a run; taken of it: {found}, {why}\n"


def test_a_folder_of_weights_is_itself(tmp_path: Path, capsys) -> None:
    make_run(tmp_path, "weights_3")
    for folder in (tmp_path / "models" / "weights_3", tmp_path / "models" / "weights_3" / "."):
        assert resolve_weights(folder) == folder
    (tmp_path / "models" / "depth.pth").touch()
    assert weights_of(tmp_path / "models") == tmp_path / "models"
    (tmp_path / "empty" / "models").mkdir(parents=True)
    assert weights_of(tmp_path / "empty") == tmp_path / "empty"
    assert capsys.readouterr().err == ""


def test_conversion_takes_a_run_too(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "weights_0", "weights_1")
    for name in ("weights_0", "weights_1"):
        (tmp_path / "run" / "models" / name / "encoder.pth").write_bytes(b"none")
    with pytest.raises(
        AssertionError, match=r"taken of it.*weights_1"
    ):  # of two lines, the second refuses the file
        refused("convert_weights.py", tmp_path / "run", "--to", "h5", folder=tmp_path, here=True)


def test_a_recipe_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The paths in the project's recipes count from the project where there is nothing in the current folder."""
    project, here = tmp_path / "project", tmp_path / "here"
    here.mkdir()
    weights = make_run(project / "runs" / "mono", "weights_9") / "models" / "weights_9"
    monkeypatch.setattr(core.weights.zoo, "FOLDER", project / "weights")
    monkeypatch.chdir(here)
    assert resolve_weights("runs/mono/models/weights_9") == weights
    assert_says(capsys.readouterr().err, "not in the current folder; taken from the project", weights)
    with pytest.raises(UserError, match=r"weights_7: no such folder of weights; check the path, ") as no:
        resolve_weights("runs/mono/models/weights_7")
    assert_says(str(no.value), "counts from", here)
    own = make_run(here / "runs" / "mono", "weights_9") / "models" / "weights_9"
    assert resolve_weights("runs/mono/models/weights_9").resolve() == own


def test_a_folder_of_releases_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MONODEPTH_WEIGHTS", str(tmp_path / "file" / "weights"))
    with pytest.raises(UserError, match=r"weights: cannot be written: Not a directory; .*MONODEPTH_WEIGHTS"):
        resolve_weights("mono_640x192")
