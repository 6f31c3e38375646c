"""Folders that may not be looked into: an error, wherever folders are listed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import make_split
from core.datasets.dgp import find_list
from core.datasets.known_poses import oxts_motion
from core.datasets.layouts.make3d import find_photographs
from core.datasets.sequences import folders_below, images_in
from core.datasets.videos import extract_videos
from core.errors import UserError
from core.evaluation.rays import read_truths
from core.files.inputs import find_images, videos_in
from core.files.listing import entries, expand, matching, walk
from core.prediction.overwriting import files_of_frames
from core.training.claim import make_room
from core.training.moments import remove_moments
from core.training.resume import remove_leftovers, remove_steps
from core.weights.sources import network_files
from tests.powers import forbidden

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images beside and below a folder that is to be forbidden."""
    for name in ("a/0.png", "b/1.png", "b/deep/2.png", "c/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


READERS: dict[str, Callable[[Path], object]] = {
    "entries": lambda root: entries(root / "b"),
    "matching": lambda root: matching(root / "b", "*.png"),
    "walk": lambda root: list(walk(root)),
    "a pattern": lambda root: find_images(str(root / "*" / "*.png"), ["png"]),
    "a pattern of folders": lambda root: find_images(str(root / "b" / "*" / "2.png"), ["png"]),
    "images below": lambda root: find_images(str(root), ["png"]),
    "images": lambda root: find_images(str(root / "b"), ["png"]),
    "videos": lambda root: videos_in(str(root / "b"), ["png"]),
    "sequences": lambda root: list(folders_below(root)),
    "images of a sequence": lambda root: images_in(root / "b"),
    "videos of a data set": lambda root: extract_videos(root, False),
    "photographs": find_photographs,
    "a list of scenes": lambda root: find_list(root / "b"),
    "range maps": lambda root: read_truths(root / "b"),
    "weights": lambda root: network_files(root / "b"),
    "frames of an earlier video": lambda root: files_of_frames(root / "b", ["disparity"]),
}


@pytest.mark.parametrize("mode", [0, 0o111, 0o444])
@pytest.mark.parametrize("name", READERS)
def test_a_forbidden_folder_is_named(folder: Path, name: str, mode: int) -> None:
    there = folder / "b"
    if name == "frames of an earlier video":
        there = there.rename(folder / "b_predictions")
    with forbidden(there, mode), pytest.raises((UserError, PermissionError)) as caught:
        READERS[name](folder)
    assert str(there) in str(caught.value) and "Permission denied" in str(caught.value)


@pytest.mark.parametrize("mode", [0, 0o111, 0o444])
@pytest.mark.parametrize(
    "look",
    [
        lambda run: make_room(run, False),
        lambda run: remove_steps(run, run / "models" / "step_2"),
        lambda run: remove_leftovers(run),
        lambda run: remove_moments(run, run / "models" / "weights_1", "now"),
    ],
)
def test_the_forbidden_checkpoints_of_a_run(
    tmp_path: Path, look: Callable[[Path], object], mode: int
) -> None:
    (tmp_path / "models" / "weights_0").mkdir(parents=True)
    with forbidden(tmp_path / "models", mode), pytest.raises(UserError, match="models: cannot be listed"):
        look(tmp_path)


def test_the_forbidden_packets_of_a_drive(tmp_path: Path) -> None:
    packets = tmp_path / "day" / "drive" / "oxts" / "data"
    packets.mkdir(parents=True)
    (packets / "0000000000.txt").touch()
    with forbidden(packets, 0o111), pytest.raises(UserError, match="data: cannot be listed: Permission"):
        oxts_motion(tmp_path, "day/drive")


def test_lists_of_folders_of_which_one_is_forbidden(folder: Path) -> None:
    """make_split.py would list the others, and nobody would miss its images."""
    with forbidden(folder / "b"), pytest.raises(UserError, match="b: cannot be listed: Permission denied"):
        make_split.main(["--data_path", str(folder)])


def test_a_disk_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("core.files.listing.os.scandir", fail)
    monkeypatch.setattr("core.files.listing.os.listdir", fail)
    for look in (list, entries):
        with pytest.raises(UserError, match="cannot be listed: Input/output error; the disk may be damaged"):
            look(walk(folder)) if look is list else look(folder)


def test_a_link_into_a_forbidden_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "photos").mkdir()
    (folder / "link").symlink_to(elsewhere / "photos")
    with forbidden(elsewhere), pytest.raises(UserError, match="link: cannot be listed: Permission denied"):
        list(walk(folder, follow=True))


def test_what_can_be_looked_into(folder: Path) -> None:
    (folder / "circle").symlink_to("circle")
    (folder / "nowhere").symlink_to("absent")
    (folder / "again").symlink_to("a")
    (folder / "lost+found").mkdir()
    with forbidden(folder / "lost+found"):
        walked = {str(place.relative_to(folder)): sorted(names) for place, _, names in walk(folder)}
        followed = [place.name for place, _, _ in walk(folder, follow=True)]
        assert [path.parent.name for path in expand(str(folder / "*" / "*.png"))] == ["a", "again", "b", "c"]
    assert walked == {
        ".": ["again", "circle", "nowhere"],
        "a": ["0.png"],
        "b": ["1.png"],
        "b/deep": ["2.png"],
        "c": ["3.png"],
    }
    assert sorted(followed[1:]) == ["a", "again", "b", "c", "deep"]
    assert entries(folder / "absent") == entries(folder / "a" / "0.png") == []
    assert entries(folder / "b") == [folder / "b" / "1.png", folder / "b" / "deep"]
    assert matching(folder, "[bc]") == [folder / "b", folder / "c"]


@pytest.mark.parametrize(
    "pattern", ["*", "*/*", "?/[0-2].png", ".*", "b/**", "absent/*", "b/1.png", "a/0.png/*", "./b/*"]
)
def test_patterns_as_of_the_shell(folder: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    import glob

    (folder / ".hidden").mkdir()
    monkeypatch.chdir(folder)
    assert expand(pattern) == sorted(map(Path, glob.glob(pattern)))
    assert expand(str(folder / pattern)) == sorted(map(Path, glob.glob(str(folder / pattern))))


def test_the_walk_goes_where_the_caller_says(folder: Path) -> None:
    seen = []
    for place, folders, _ in walk(folder):
        folders[:] = sorted(set(folders) - {"c"}, reverse=True)
        seen.append(place.name)
    assert seen[1:] == ["b", "deep", "a"]


# What passes over a folder without a word; `faults` only tells how much is there, `stale` what it could not remove.
SILENT = re.compile(r"(?<!\bast)\.(r?glob|iglob|walk)\(")
EXEMPT = {"core/faults.py", "core/files/stale.py"}


def test_nothing_else_lists_folders_in_silence() -> None:
    files = [*ROOT.glob("*.py"), *(ROOT / "core").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    assert {name for name, text in texts.items() if SILENT.search(text)} == EXEMPT
