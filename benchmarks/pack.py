"""Packs the recorded numbers that the tests of every device read into benchmarks/carry/, to be copied along.

python -m benchmarks.pack [--shared FOLDER]
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.errors import UserError, run
from core.options.base import option
from core.options.parsing import parse

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
CARRY = ROOT / "benchmarks" / "carry"
LARGEST = 15 * 10**6  # bytes of all files together
RECIPES = "arrays.py"  # rebuilds the inputs of all of them
MARKER = "every_device"


@dataclass
class PackOptions:
    """Recorded numbers for a machine that has only this folder."""

    EXAMPLE: ClassVar[str] = "-m benchmarks.pack"

    shared: str = option(str(SHARED), "the folder with golden/", path=True)


def main(argv: list[str] | None = None) -> None:
    """Packs, and says what was left out."""
    options = parse(PackOptions, argv, (__doc__ or "").splitlines()[0])
    packed, left_out = pack(Path(options.shared))
    size = sum((CARRY / "golden" / name).stat().st_size for name in packed)
    print(f"{CARRY}: {len(packed)} files, {size / 1e6:.1f} MB; left out: {', '.join(left_out) or 'none'}")


def pack(shared: Path, largest: int = LARGEST) -> tuple[list[str], list[str]]:
    """Copies the files, those of fewer bytes first, as long as they fit.

    Returns:
        Names below `golden/` that were copied, and those that were not.

    Raises:
        UserError: there are no recorded numbers.
    """
    golden = shared / "golden"
    if not (golden / RECIPES).is_file():
        raise UserError(f"{golden}: no recorded numbers here; give their folder with --shared")
    names = {name for file in recorded_tests() for name in files_of(file)}
    there = sorted((golden / name for name in names if (golden / name).is_file()), key=_size)
    shutil.rmtree(CARRY, ignore_errors=True)
    packed, left = [], largest
    for path in [golden / RECIPES, *there]:
        name = path.relative_to(golden).as_posix()
        if _size(path) <= left:
            target = CARRY / "golden" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            packed.append(name)
            left -= _size(path)
    return packed, sorted(names - set(packed))


def recorded_tests() -> list[Path]:
    """The files with tests of recorded numbers that run on every device."""
    found = sorted((ROOT / "tests" / "backends").rglob("test_*.py"))
    return [path for path in found if f"mark.{MARKER}" in path.read_text(encoding="utf-8")]


def files_of(test: Path) -> set[str]:
    """The recorded files that a file of tests names, below `golden/`."""
    return set(re.findall(r"""golden\(["']([\w/.]+)["']\)""", test.read_text(encoding="utf-8")))


def complete(tests: Iterable[Path], shared: Path) -> list[Path]:
    """The tests for which every recorded file is there."""
    return [test for test in tests if all((shared / "golden" / name).is_file() for name in files_of(test))]


def _size(path: Path) -> int:
    return path.stat().st_size


if __name__ == "__main__":
    run(main)
