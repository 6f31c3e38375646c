"""Shared files name no method: what is one paper's lies in that method's own files, and in its rows of the registries.

Comments and docstrings count, since a reader follows them. `OFFENDERS` may only shrink.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Methods and their classes, however they are written: SC-Depth, sc_depth, SCDepthOptions.
NAMES = re.compile(
    r"monodepth_?(v?2)|sc[-_]?depth|epc[-_]?depth|pack[-_]?net|feat[-_]?depth|ray[-_]?surfaces?",
    re.IGNORECASE,
)
SHARED = ("core", "backends", "*.py", "environment.sh", "tests/run.sh", "configs/job.sh")
SUFFIXES = (".py", ".sh")
# A method's own files; of a registry's folder, `__init__.py` and `base.py` are shared.
RELEASES = "torchvision"  # of weights
METHODS = "monodepth2|sc_depth|epcdepth|packnet|packnet_san|featdepth|ray_surface"
OWN = (
    rf"core/(options/methods|weights/families)/({METHODS}|{RELEASES})\.py",
    rf"core/options/methods/({METHODS})_tree\.py",  # nested files of its authors
    rf"backends/\w+/(methods|builders)/({METHODS})\.py",
    r"backends/\w+/(networks|losses)/\w+\.py",
)
# Lines of shared files that are rows of a registry, and the imports of these.
ROWS = (
    ("core/options/methods/__init__.py", r"from core\.options\.methods\.\w+ import \w+Options"),
    ("core/options/methods/__init__.py", r'(OPTIONS: .* = \{)?\s*"\w+": \w+Options[,}]*'),
    ("core/weights/families/__init__.py", r"    \w+,"),
    ("core/weights/families/__init__.py", r'\s*"\w+": \w+\.FAMILY,'),
    ("core/options/protocols.py", r'\w+ = Rule\("\w+".*|\s*"\w+",'),
    (
        "backends/torch/methods/__init__.py",
        r'(METHODS = \{)?\s*"\w+": "backends\.torch\.methods\.\w+\.\w+"[,}]*',
    ),
    (
        "backends/paddle/methods/__init__.py",
        r'(METHODS = \{)?\s*"\w+": "backends\.paddle\.methods\.\w+\.\w+"[,}]*',
    ),
    ("backends/torch/builders/__init__.py", r'\s*"[\w-]+": "backends\.torch\.builders\.\w+",'),
    ("backends/paddle/builders/__init__.py", r'\s*"[\w-]+": "backends\.paddle\.builders\.\w+",'),
)
# Lines with a name, by file; the cure for a line too many is to move it, not to count it.
OFFENDERS: dict[str, int] = {}


def shared_files(root: Path) -> list[Path]:
    """What every method uses, below a root."""
    found = [path for pattern in SHARED for path in root.glob(pattern)]
    files = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path])]
    own = re.compile("|".join(OWN))
    return sorted(
        file
        for file in files
        if file.suffix in SUFFIXES and not own.fullmatch(file.relative_to(root).as_posix())
    )


def offences(name: str, text: str) -> list[str]:
    """Lines of a file that name a method and are no row of a registry, `core/log.py:3: …`."""
    rows = [re.compile(pattern) for file, pattern in ROWS if file == name]
    return [
        f"{name}:{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), start=1)
        if NAMES.search(line) and not any(row.fullmatch(line) for row in rows)
    ]


def all_offences(root: Path) -> dict[str, list[str]]:
    """Those of every shared file that has any."""
    texts = {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in shared_files(root)
    }
    found = {name: offences(name, text) for name, text in texts.items()}
    return {name: lines for name, lines in found.items() if lines}


def test_shared_files_name_no_method() -> None:
    """Neither more than listed, nor less: then the list is to be shortened."""
    found = all_offences(ROOT)
    counts = {name: len(lines) for name, lines in found.items()}
    lines = "\n".join(line for name in found if counts[name] > OFFENDERS.get(name, 0) for line in found[name])
    more = {name: count for name, count in counts.items() if count > OFFENDERS.get(name, 0)}
    assert not more, f"a method is named; move what needs its name into the method's own files:\n{lines}"
    assert counts == OFFENDERS, "fewer than listed: shorten OFFENDERS"


def test_the_shared_files_are_looked_at() -> None:
    names = {file.relative_to(ROOT).as_posix() for file in shared_files(ROOT)}
    assert {
        "train.py",
        "core/weights/families/base.py",
        "backends/torch/methods/base.py",
        "tests/run.sh",
    } <= names
    assert {"core/options/methods/__init__.py", "backends/paddle/trainer.py"} <= names
    assert not names & {"core/options/methods/monodepth2.py", "backends/torch/methods/monodepth2.py"}
    assert len(names) > 100


@pytest.mark.parametrize(
    "line",
    [
        "from core.options.methods.monodepth2 import NETWORKS",
        "    if isinstance(options, Monodepth2Options):",
        'if options.method == "sc_depth":',
        "    # as SC-Depth has it",
        "class SCDepthFamily:",
        '"""What EPCDepth calls a graft."""',
        "packnet_san = 3",
        "PackNetSAN(options)",
        "FEATDEPTH",
        "ray_surface or RaySurface",
        "the Paddle Monodepthv2",
    ],
)
def test_a_planted_name_would_be_seen(line: str, tmp_path: Path) -> None:
    """In a shared file, old or new, whoever's; and not in a method's own."""
    for name, seen in {
        "core/training/log.py": 1,
        "train.py": 1,
        "backends/torch/methods/epcdepth.py": 0,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"import numpy\n\n\n{line}\n")
        found = all_offences(tmp_path).get(name, [])
        assert found == [f"{name}:4: {line.strip()}"] * seen
        file.unlink()


def test_a_row_of_a_registry_is_none() -> None:
    """Of that registry alone."""
    row = '    "sc_depth": SCDepthOptions,'
    assert offences("core/options/methods/__init__.py", row) == []
    assert len(offences("core/training/log.py", row)) == 1
    assert len(offences("core/options/methods/__init__.py", f"{row}  # as PackNet")) == 1
    text = (ROOT / "core/options/methods/__init__.py").read_text(encoding="utf-8")
    assert NAMES.search(text) and offences("core/options/methods/__init__.py", text) == []


def test_prose_that_looks_alike_is_none() -> None:
    assert (
        offences(
            "core/geometry.py", "the feature's depth; rays of a surface; a packed network; monocular depth"
        )
        == []
    )
