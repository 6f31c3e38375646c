"""How an option is made and checked."""

import dataclasses
import itertools
import os
import re
from collections.abc import Callable
from typing import Any

from core.errors import UserError
from core.plausibility.cameras import is_camera
from core.plausibility.checks import check_names

RESNET_LAYERS = (18, 34, 50, 101, 152)
DATASETS = ("kitti", "kitti_odom", "kitti_depth", "kitti_test", "scenes", "ddad", "folder")
NAMED_CAMERAS = ("ddad",)  # of them those whose cameras have names
PRECISION = (
    "bits of the depth networks' numbers: bf16, or 16, is faster on a GPU, disparity good to two digits"
)
NOMINAL_BASELINE = 0.1  # what training usually calls the distance of the stereo cameras
KITTI_BASELINE = 0.54  # metres

# Published test lists whose rules hold for folders of their name, too, and how many lines they have.
PUBLISHED_LISTS: dict[str, tuple[int, ...]] = {"eigen": (697,), "eigen_benchmark": (652,), "benchmark": ()}

# What the published program had under another name; the parser tells whoever types the old one.
REPLACED = {
    "no_cuda": "use --device cpu",
    "eval_out_dir": "use --output FILE.json for the metrics",
    "cuda": "use --device auto or cpu",
    "ckpt": "use --load_weights_folder",
    "ckpt_path": "use --load_weights_folder",
}


DEFAULT_DATA = "kitti_data"  # where no --data_path is given


def option(
    default: Any,
    help: str,
    choices: tuple[Any, ...] | Callable[[], tuple[Any, ...]] | None = None,
    path: bool = False,
    positional: bool = False,
) -> Any:
    """A dataclass field that is also an option.

    Args:
        default: value when neither YAML nor the command line says otherwise; a tuple for a list.
        help: one line for `--help`.
        choices: the values allowed (of each element, for a list), or what tells them when they are asked for.
        path: the text is a path, in which a leading `~` stands for the home folder.
        positional: given on the command line without its name; one of a class at most.
    """
    metadata = {"help": help, "choices": choices, "path": path, "positional": positional}
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def require(condition: bool, message: str) -> None:
    """Raises `UserError(message)` unless the condition holds."""
    if not condition:
        raise UserError(message)


def no_data(path: str) -> str:
    """What to say of a root of data that is not there."""
    given = "; it is the default" if path == DEFAULT_DATA else ""
    return f"{path}: no such folder{given}; --data_path must be the root of the data set"


def accept_option() -> Any:
    """The field `accept` of a command that looks at data."""
    return option(
        None,
        "checks of data, by name, whose findings are taken as they are; messages say the names",
        choices=check_names,
    )


def list_name(split: str) -> str:
    """What the lists of a split are called: `eigen` of `eigen`, `folder/eigen` and `folder/eigen/test_files.txt`."""
    path = os.path.normpath(split)
    named = re.fullmatch(r"(train|val|test)_files\.txt", os.path.basename(path))
    return os.path.basename(os.path.dirname(path) if named else path)


def published_name(split: str) -> str:
    """`list_name`, or nothing where there is a folder of one's own, which is only called like a published list.

    Those of Eigen's test have 697 and 652 lines, and that of the benchmark begins with the folder `image`.
    """
    name = list_name(split)
    file = split if split.endswith(".txt") else os.path.join(split, "test_files.txt")
    if name not in PUBLISHED_LISTS or not os.path.isfile(file):
        return name
    try:
        with open(file, encoding="utf-8-sig") as lines:
            words = [line.split() for line in itertools.islice(lines, 1 << 16) if line.strip()]
    except (OSError, UnicodeDecodeError):  # whoever reads the list says so
        return name
    published = (
        words[0][0] == "image" if name == "benchmark" and words else len(words) in PUBLISHED_LISTS[name]
    )
    return name if published else ""


def different(names: list[str]) -> list[str]:
    """Names that differ in more than upper and lower case, in the order in which they come first."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name.lower(), name)
    return list(first.values())


def is_name_format(split: str) -> bool:
    """Whether a split says how images are named, such as `{:010d}`, and names no list."""
    return "{" in split


def require_at_least(options: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        require(value >= least, f"option {name}: {value} is too small, the least is {least}")


def require_seed(seed: int) -> None:
    require(0 <= seed < 2**31, f"option seed: {seed} is not between 0 and {2**31 - 1}")


def require_share(value: float, name: str) -> None:
    """Raises UserError unless an option is a share, above 0 and not above 1."""
    require(0 < value <= 1, f"option {name}: {value} is not above 0, up to 1")


def require_device(device: str) -> None:
    known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is not None
    require(known, f"option device: {device!r} is none of auto, cpu, cuda, cuda:0, cuda:1, …")


def require_store(path: str | None, server: str | None) -> None:
    """The URL of a folder in an object store, and the server where it is not the usual one."""
    require(path is not None or server is None, "option s3_url: only with --s3_path; leave it out")
    for name, value in (("s3_path", path), ("s3_url", server)):
        secret = value is not None and re.match(r"[^/]*//[^/]*:[^/]*@", value)
        require(
            not secret,
            f"option {name}: a password would be kept in options.yaml; leave it to the environment or the files of "
            "the store's package",
        )
    if path is not None:
        known = re.fullmatch(r"[a-z][a-z0-9]*://[^/\x00-\x1f]*(/+[^/\x00-\x1f]+)*/*", path)
        named = known is not None and path.split("://")[1].strip("/") != "" and "::" not in path
        require(
            named,
            f"option s3_path: {path[:80]!r} is no URL of a folder in a store, such as s3://bucket/folder",
        )
    if server is not None:
        require(
            path is None or path.startswith(("s3:", "s3a:")), "option s3_url: only for an --s3_path of s3://"
        )
        web = re.fullmatch(r"https?://[^/\s]+/?", server) is not None
        require(web, f"option s3_url: {server[:80]!r} is no address such as http://localhost:9000")


def require_intrinsics(values: list[float] | None) -> None:
    """In units of the image size. Numbers beyond any lens are pixels, most likely."""
    if values is None:
        return
    require(len(values) == 4, f"option intrinsics: {values} are not four numbers, fx fy cx cy")
    require(
        is_camera(values),
        f"option intrinsics: {values} is no camera in units of the image size (KITTI: 0.58 1.92 0.5 0.5); "
        "divide pixels by the width (fx, cx) and the height (fy, cy)",
    )


def require_depth_range(
    min_depth: float | None, max_depth: float | None, names: str = "min_depth, max_depth"
) -> None:
    require(min_depth is None or min_depth > 0, f"options {names}: the minimum {min_depth} must be above 0")
    if min_depth is not None and max_depth is not None:
        require(min_depth < max_depth, f"options {names}: {min_depth} must be below {max_depth}")
