"""The rooms of `core/` and the order in which they may import each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.syntax import tree_of

ROOT = Path(__file__).resolve().parent.parent
# From the ground up: a room imports those before it, never those after it; rooms of one row do not import each other.
ROWS = (
    ("faults",),
    ("errors", "cores", "disparity"),
    ("plausibility",),
    ("files",),
    ("options",),
    ("geometry", "weights"),
    ("odometry", "cameras"),
    ("datasets",),
    ("evaluation",),
    ("prediction", "training", "parity", "rendering"),
)
# What is no room: a command's former name.
FORWARDERS = {"kitti_archives"}


def imports(path: Path) -> Iterator[str]:
    """The modules of `core` that a file imports, anywhere in it, such as "core.files.images"."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "core":
                yield from (f"core.{alias.name}" for alias in node.names)
            elif node.module.startswith("core."):
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("core."))


def rooms() -> dict[str, list[Path]]:
    """The files of each room, and of each module that stands alone."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "core").rglob("*.py")):
        name = path.relative_to(ROOT / "core").with_suffix("").parts[0]
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def upward(arrows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows that do not lead to a lower row."""
    row = {name: number for number, names in enumerate(ROWS) for name in names}
    return [(room, other) for room, other in arrows if room != other and row[other] >= row[room]]


def test_every_room_has_its_place():
    assert set(rooms()) - FORWARDERS == {name for names in ROWS for name in names}


def test_no_import_runs_upward():
    arrows = [
        (room, module.split(".")[1])
        for room, paths in rooms().items()
        if room not in FORWARDERS
        for path in paths
        for module in imports(path)
    ]
    assert len(arrows) > 100
    assert upward(arrows) == []


def test_an_upward_import_would_be_seen():
    assert upward([("files", "weights"), ("datasets", "files"), ("geometry", "weights")]) == [
        ("files", "weights"),
        ("geometry", "weights"),
    ]
