"""Which files exist: as the system says, but asked once a folder."""

from pathlib import Path

import pytest

from core.files import existing
from core.files.existing import FEW, ExistingFiles


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Files and links, and what is none: absent, a folder, links to nothing and to themselves, a folder's absence."""
    folder = tmp_path / "a"
    folder.mkdir()
    files = [folder / f"{number}.jpg" for number in range(2 * FEW)]
    for file in files:
        file.touch()
    (folder / "folder.jpg").mkdir()
    for name, target in (("dangling", "nothing"), ("loop", "loop"), ("link", "0.jpg")):
        (folder / name).symlink_to(folder / target)
    others = [folder / name for name in ("absent", "folder.jpg", "dangling", "loop", "link")]
    return [*files, *others, *(tmp_path / "b" / f"{number}" for number in range(2 * FEW)), tmp_path / "a"]


def test_it_answers_as_the_system(paths: list[Path]) -> None:
    exists = ExistingFiles()
    for path in [*paths, *paths]:
        assert exists(path) == path.is_file(), path


def test_a_folder_is_listed_once(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []

    def counted(folder: Path) -> frozenset[str]:
        listed.append(folder)
        return _files_in(folder)

    _files_in = existing._files_in
    monkeypatch.setattr(existing, "_files_in", counted)
    exists = ExistingFiles()
    for path in [*paths, *paths]:
        exists(path)
    assert listed == [paths[0].parent, paths[0].parent.parent / "b"]
