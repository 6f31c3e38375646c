"""Which frames belong to a split: lists read from a user's folder, or expanded from `splits/facts.yml`.

The lists of the field (Eigen et al. 2014; Zhou et al. 2017; the KITTI benchmark and odometry) follow from the
lengths of the drives, their static frames and the order of the Eigen test list. Three of them, eigen_zhou,
eigen_full and odom, also draw their validation part at random, and that draw is known only as a list. So
**these three hold out other lines than the published lists do**: the same number, drawn by the SHA-256
digest of the line, alike on every machine. Whoever needs the published draw puts the published files into
`splits/<name>/`, where they win.
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from core.errors import UserError
from core.faults import why_not_read
from core.files import plain_yaml
from core.files.regular import read_text

SPLITS = Path(__file__).resolve().parent.parent.parent / "splits"
FACTS = SPLITS / "facts.yml"
PARTS = ("train", "val", "test")
LEFT, RIGHT = 2, 3  # KITTI's numbers of the colour cameras
CAMERAS = {"l": LEFT, "2": LEFT, "r": RIGHT, "3": RIGHT}
SIDES = {LEFT: "l", RIGHT: "r"}
# A line may begin with the path of its target in KITTI raw: the folder of the drive, camera, frame.
IMAGE_PATH = re.compile(r"(?P<folder>.+)/image_0(?P<camera>[23])/data/(?P<frame>[0-9]{1,10})\.(png|jpg|jpeg)")


@dataclass(frozen=True)
class SplitLine:
    """One line of a list: `<folder> <frame> <side>`, or without the side.

    Attributes:
        origin: the file that it stands in, and the line there, for messages; empty where it is made.
    """

    folder: str
    frame: int
    side: str | None = None
    origin: str = field(default="", compare=False, repr=False)

    @property
    def place(self) -> tuple[str, int, int | str | None]:
        """What it shows, however the side is spelled: folder, frame, and camera, None where there is no side."""
        return self.folder, self.frame, None if self.side is None else CAMERAS.get(self.side, self.side)

    @property
    def camera(self) -> int:
        """KITTI's number of the colour camera: 2 (left) or 3 (right).

        Raises:
            UserError: the line has no side, or an unknown one.
        """
        if self.side not in CAMERAS:
            raise UserError(f"split line {str(self)!r}: the third word must be the side, l or r")
        return CAMERAS[self.side]

    def __str__(self) -> str:
        return f"{self.folder} {self.frame}" + (f" {self.side}" if self.side is not None else "")


def other_camera(camera: int) -> int:
    """The camera beside it in the stereo pair."""
    return RIGHT if camera == LEFT else LEFT


Lines = list[SplitLine]


def split_folder(name_or_folder: str | Path) -> Path:
    """The folder of a split, which may not exist yet: where its lists may lie and its ground truth is kept.

    Args:
        name_or_folder: also the name of a list file, see `load_split`; it is the folder that has it.

    Raises:
        UserError: neither a folder nor a list known by rule.
    """
    if _is_list_file(name_or_folder):
        file, name, _ = _find_list(name_or_folder)
        return SPLITS / str(name) if file is None else file.parent
    for folder in (SPLITS / name_or_folder, Path(name_or_folder)):
        if _lists_in(folder):
            return folder
    if str(name_or_folder) not in LISTS:
        raise UserError(_unknown_split(str(name_or_folder)))
    return SPLITS / name_or_folder


def load_split(name_or_folder: str | Path, part: str) -> Lines:
    """The lines of one part of a split, in their order.

    Args:
        name_or_folder: a name in `splits/` or of a list known by rule, or a path to a folder with
            `{train,val,test}_files.txt`. Files win over rules. Or the name of a list file, `.txt`, which wins over
            `part`; where no such file is, `splits/<name>/<part>_files.txt` is that part of a list known by rule.
        part: train, val or test.

    Raises:
        UserError: unknown split or part, an unreadable or empty file, a malformed line.
    """
    if _is_list_file(name_or_folder):
        file, name, part = _find_list(name_or_folder)
        return read_split_file(file) if file is not None else _listed_by_rule(name, part)
    folder = split_folder(name_or_folder)
    file = folder / f"{part}_files.txt"
    if file.is_file():
        return read_split_file(file)
    if present := _lists_in(folder):  # never mixed with the lists known by rule: train and val would overlap
        raise UserError(f"{file}: no such list; beside it: {', '.join(present)}")
    return _listed_by_rule(str(name_or_folder), part)


def list_below(root: str | Path, name_or_folder: str) -> str:
    """A list file that lies in the data set's folder and is named from there: its path; any other split as it is."""
    inside = Path(root) / name_or_folder
    if not _is_list_file(name_or_folder) or not inside.is_file():
        return name_or_folder
    elsewhere = any((folder / name_or_folder).is_file() for folder in (Path(), SPLITS, SPLITS.parent))
    return name_or_folder if elsewhere else str(inside)


def has_part(name_or_folder: str | Path, part: str) -> bool:
    """Whether `load_split` finds that part; of a list file every one.

    Raises:
        UserError: unknown split.
    """
    if _is_list_file(name_or_folder):
        return True
    present = _lists_in(split_folder(name_or_folder))
    return f"{part}_files.txt" in present if present else part in LISTS[str(name_or_folder)]


def tests_beside(name_or_folder: str, dataset: str) -> Lines:
    """The test images that go with a split: those of its folder, for KITTI's own lists those of eigen; else none.

    Args:
        dataset: the name of the reader.
    """
    try:
        if _is_list_file(name_or_folder):
            file, name_or_folder, _ = _find_list(name_or_folder)
            if file is not None:
                name_or_folder = str(file.parent)
        if has_part(name_or_folder, "test") and not (name_or_folder == "benchmark" and "benchmark" in LISTS):
            return load_split(name_or_folder, "test")
    except UserError:
        return []
    return _eigen_test() if name_or_folder in EIGEN_TRAINING and dataset.startswith("kitti") else []


def _lists_in(folder: Path) -> list[str]:
    names = (f"{part}_files.txt" for part in PARTS)
    return [name for name in names if (folder / name).is_file()]


def _listed_by_rule(name: str, part: str) -> Lines:
    if part not in LISTS[name]:
        raise UserError(f"split {name} has no list {part!r}; it has {', '.join(LISTS[name])}")
    return LISTS[name][part]()


def _is_list_file(name: str | Path) -> bool:
    return Path(name).suffix.lower() == ".txt" and not Path(name).is_dir()


def _find_list(name: str | Path) -> tuple[Path | None, str, str]:
    """The file of that name; or None, with the name and the part of the list known by rule that it would be.

    Raises:
        UserError: there is neither.
    """
    path = Path(name)
    for file in (path, SPLITS / path, SPLITS.parent / path):
        if file.is_file():
            return file, "", ""
    part = path.name.removesuffix("_files.txt")
    beside = [word for folder in (path.parent, SPLITS / path.parent.name) for word in _lists_in(folder)]
    by_rule = part in PARTS and path.parent.name in LISTS and path.parent.parent.name in ("", SPLITS.name)
    if not by_rule or beside:
        there = f"beside it: {', '.join(beside)}" if beside else "check the path"
        raise UserError(f"{path}: no such list; {there}")
    return None, path.parent.name, part


def read_split_file(path: Path) -> Lines:
    """Reads a list of `<folder> <frame> [<side>]`, separated by blanks; empty lines are skipped.

    Or of paths such as `<folder>/image_02/data/0000000005.png`, whose extension counts as little as what follows them.

    Raises:
        UserError: the file is unreadable or lists nothing, or a line is malformed.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a split list: {why_not_read(error)}") from error
    rows = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [_parse_line(path, number, words) for number, words in rows if words]
    if not lines:
        raise UserError(f"{path}: lists no frames; write one '<folder> <frame> <side>' per line")
    return lines


def _parse_line(path: Path, number: int, words: list[str]) -> SplitLine:
    origin = f"{path}, line {number}"
    if "\\" in words[0]:
        raise UserError(f"{path}: line {number}: {words[0]!r} has backslashes; write the folder with /")
    if found := IMAGE_PATH.fullmatch(words[0]):
        return SplitLine(found["folder"], int(found["frame"]), SIDES[int(found["camera"])], origin)
    if not 2 <= len(words) <= 3 or not re.fullmatch("[0-9]{1,10}", words[1]):
        raise UserError(f"{path}: line {number}: {' '.join(words)!r} is not '<folder> <frame> [<side>]'")
    side = words[2] if len(words) == 3 else None
    if side is not None and side not in CAMERAS:
        raise UserError(f"{path}: line {number}: side {side!r} is none of {', '.join(CAMERAS)}")
    return SplitLine(words[0], int(words[1]), side, origin)


def _unknown_split(name: str) -> str:
    near = difflib.get_close_matches(name, LISTS, n=1)
    guess = f"did you mean {near[0]}?" if near else f"known: {', '.join(LISTS)}"
    return f"split {name!r}: neither a known list nor a folder with {{train,val,test}}_files.txt; {guess}"


# ---- the lists known by rule -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """`splits/facts.yml`, parsed; a drive is `MMDD/NNNN`."""

    eigen_train_lengths: dict[str, int]
    eigen_test_lengths: dict[str, int]
    static_frames: dict[str, frozenset[int]]
    without_scan: dict[str, frozenset[int]]
    eigen_test: dict[str, tuple[int, ...]]  # frames in the order of the list
    benchmark_validation: frozenset[str]
    odometry_lengths: tuple[int, ...]

    @property
    def lengths(self) -> dict[str, int]:
        """Number of frames of all 61 drives."""
        return self.eigen_train_lengths | self.eigen_test_lengths


@lru_cache(maxsize=1)
def facts() -> Facts:
    """Reads `splits/facts.yml` once."""
    text: dict[str, str] = plain_yaml.read(FACTS)
    return Facts(
        eigen_train_lengths=_lengths(text["eigen_train_lengths"]),
        eigen_test_lengths=_lengths(text["eigen_test_lengths"]),
        static_frames=_frame_sets(text["static_frames"]),
        without_scan=_frame_sets(text["without_scan"]),
        eigen_test={drive: _eigen_order(words) for drive, *words in _rows(text["eigen_test"])},
        benchmark_validation=frozenset(text["benchmark_validation"].split()),
        odometry_lengths=tuple(map(int, text["odometry_lengths"].split())),
    )


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def _lengths(text: str) -> dict[str, int]:
    pairs = [(date, *word.split(":")) for date, *words in _rows(text) for word in words]
    return {f"{date}/{drive}": int(length) for date, drive, length in pairs}


def _frame_sets(text: str) -> dict[str, frozenset[int]]:
    return {
        drive: frozenset(frame for word in words for frame in _range(*map(int, word.split("-"))))
        for drive, *words in _rows(text)
    }


def _range(first: int, last: int | None = None, stride: int = 1) -> range:
    return range(first, (first if last is None else last) + 1, stride)


def _eigen_order(words: list[str]) -> tuple[int, ...]:
    *ranges, letters = words
    frames = [frame for word in ranges for frame in _range(*map(int, word.split(":")))]
    return tuple(frames[ord(letter) - ord("a")] for letter in letters)


def drive_folder(drive: str) -> str:
    """`0926/0001` → `2011_09_26/2011_09_26_drive_0001_sync`."""
    date, number = drive.split("/")
    day = f"2011_{date[:2]}_{date[2:]}"
    return f"{day}/{day}_drive_{number}_sync"


def _both_sides(folder: str, frames: Iterable[int]) -> Lines:
    return [SplitLine(folder, frame, side) for frame in frames for side in "lr"]


def _by_digest(lines: Iterable[SplitLine], name: str) -> Lines:
    """A random order that no library or machine can change; the name keeps two lists apart."""
    return sorted(lines, key=lambda line: hashlib.sha256(f"{name}: {line}".encode()).digest())


def _hold_out_tenth(lines: Lines, name: str) -> tuple[Lines, Lines]:
    """(train, val), the sizes as published: train is the rounded-down nine tenths."""
    shuffled = _by_digest(lines, name)
    count = len(lines) * 9 // 10
    return shuffled[:count], shuffled[count:]


@lru_cache(maxsize=1)
def _eigen_zhou() -> tuple[Lines, Lines]:
    lines: Lines = []
    for drive, length in facts().eigen_train_lengths.items():
        static = facts().static_frames.get(drive, frozenset())
        moving = [frame for frame in range(1, length - 1) if frame not in static]
        lines += _both_sides(drive_folder(drive), moving)
    return _hold_out_tenth(lines, "eigen_zhou")


@lru_cache(maxsize=1)
def _eigen_full() -> tuple[Lines, Lines]:
    held_out = 888  # pairs of left and right
    lengths = facts().eigen_train_lengths
    pairs = [
        SplitLine(drive_folder(drive), frame) for drive, length in lengths.items() for frame in range(length)
    ]
    shuffled = _by_digest(pairs, "eigen_full")

    def expand(pairs: Lines) -> Lines:
        return [line for pair in pairs for line in _both_sides(pair.folder, [pair.frame])]

    return _by_digest(expand(shuffled[held_out:]), "eigen_full"), expand(shuffled[:held_out])


@lru_cache(maxsize=1)
def _benchmark() -> tuple[Lines, Lines]:
    parts: tuple[Lines, Lines] = ([], [])
    for drive, length in sorted(facts().lengths.items()):
        skipped = facts().static_frames.get(drive, frozenset()) | facts().without_scan.get(drive, frozenset())
        frames = [frame for frame in range(5, length - 5) if frame not in skipped]
        parts[drive in facts().benchmark_validation].extend(_both_sides(drive_folder(drive), frames))
    return _by_digest(parts[0], "benchmark"), parts[1]


@lru_cache(maxsize=1)
def _odom() -> tuple[Lines, Lines]:
    sequences = enumerate(facts().odometry_lengths[:9])
    lines = [line for n, length in sequences for line in _both_sides(str(n), range(2, length - 2))]
    return _hold_out_tenth(lines, "odom")


def _odometry_test(sequence: int) -> Lines:
    frames = facts().odometry_lengths[sequence] - 1
    return [SplitLine(str(sequence), frame, "l") for frame in range(frames)]


def _eigen_test() -> Lines:
    drives = facts().eigen_test.items()
    return [SplitLine(drive_folder(drive), frame, "l") for drive, frames in drives for frame in frames]


def eigen_benchmark_rows() -> list[int]:
    """Row numbers of the Eigen test list that have annotated depth: 652 of 697, ascending.

    Annotation merges eleven scans, so the first and the last five frames of a drive have none.
    """
    lengths = {drive_folder(drive): length for drive, length in facts().eigen_test_lengths.items()}
    return [n for n, line in enumerate(_eigen_test()) if 5 <= line.frame <= lengths[line.folder] - 6]


def _eigen_benchmark_test() -> Lines:
    lines = _eigen_test()
    return [lines[row] for row in eigen_benchmark_rows()]


EIGEN_TRAINING = ("eigen_zhou", "eigen_full")  # whose test images are those of eigen

# name: part: the list; copies, so that no caller changes a cached one.
LISTS: dict[str, dict[str, Callable[[], Lines]]] = {
    "eigen_zhou": {"train": lambda: list(_eigen_zhou()[0]), "val": lambda: list(_eigen_zhou()[1])},
    "eigen_full": {"train": lambda: list(_eigen_full()[0]), "val": lambda: list(_eigen_full()[1])},
    "eigen": {"test": _eigen_test},
    "eigen_benchmark": {"test": _eigen_benchmark_test},
    "benchmark": {
        "train": lambda: list(_benchmark()[0]),
        "val": lambda: list(_benchmark()[1]),
        "test": lambda: [SplitLine("image", frame) for frame in range(500)],
    },
    "odom": {"train": lambda: list(_odom()[0]), "val": lambda: list(_odom()[1])},
    "odom_9": {"test": lambda: _odometry_test(9)},
    "odom_10": {"test": lambda: _odometry_test(10)},
}
