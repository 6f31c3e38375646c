"""The zoo: weights by name, fetched when they are asked for and not there.

python -m core.weights.zoo                        prints what there is
python -m core.weights.zoo mono_640x192 resnet18  fetches, for a machine that will be offline
"""

import argparse
import contextlib
import dataclasses
import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.errors import UserError, run, say
from core.faults import why_not_written
from core.files.whole import write_text
from core.weights.download import Checksum, DownloadError, download, file_hash, mismatch
from core.weights.files import TOGETHER_SUFFIXES
from core.weights.releases import FOLDER, NOWHERE, Family, Release, load_zoo, weights_root
from core.weights.run_folder import weights_of
from core.weights.unpack import unpack

if TYPE_CHECKING:
    from core.options import EvaluationOptions, OnnxOptions, Options, PoseEvaluationOptions, PredictionOptions

    HasFolder = TypeVar(
        "HasFolder",
        bound=Options | EvaluationOptions | PoseEvaluationOptions | PredictionOptions | OnnxOptions,
    )

INCOMING = ".incoming"  # below the folder of weights: what is not finished


def with_weights(options: "HasFolder") -> "HasFolder":
    """Options whose `load_weights_folder`, if any, is a folder or a file: see `resolve_weights`.

    Of a release in one file, which does not say its size, height and width become known where they are not given.
    """
    name = options.load_weights_folder
    if name is None:
        return options
    path = resolve_weights(name)
    options = dataclasses.replace(options, load_weights_folder=str(path))
    release = load_zoo(weights_root()).get(name) if path.is_file() and str(path) != name else None
    if release is not None and getattr(options, "height", 0) is None and getattr(options, "width", 0) is None:
        size = {side: getattr(release, side) for side in ("height", "width") if getattr(release, side)}
        options = dataclasses.replace(options, **size)
    return options


def resolve_weights(name: str | Path, root: Path | None = None) -> Path:
    """The folder of weights that a user means: a folder, or a name of the zoo, fetched when it is not there yet.

    Args:
        name: an existing folder wins, and so does a file of weights, which may hold all networks of a model; the folder
            of a run stands for its best weights, see `weights_of`. Recipes name the runs of the project: what is not
            there from the current folder is looked for from the project's.
        root: folder of the weights; None: `weights_root()`.

    Raises:
        UserError: neither a folder nor a name of the zoo; or it cannot be fetched.
    """
    found = _beside_the_project(Path(name))
    if found.is_dir():
        return weights_of(found)
    if found.is_file() and found.suffix in TOGETHER_SUFFIXES:
        return found
    root = root or weights_root()
    zoo = load_zoo(root)
    release = zoo.get(str(name))
    if release is None:
        raise UserError(_unknown(name, [other.name for other in zoo.values() if other.is_trained]))
    if not release.is_trained:
        raise UserError(
            f"{name}: an encoder to start from, no trained network; to train from it: --weights_init pretrained "
            f"--num_layers {release.num_layers}"
        )
    return fetch(release, root)


def _beside_the_project(path: Path) -> Path:
    """The path from the project's folder where there is nothing from the current one, which is said."""
    there = FOLDER.parent / path
    if path.is_absolute() or path.exists() or len(path.parts) < 2 or not there.exists():
        return path
    say(f"{path}: not in the current folder; taken from the project: {there}")
    return there


def imagenet_file(num_layers: int, root: Path | None = None) -> Path:
    """The file of ImageNet weights of an encoder: `resnet<num_layers>_pretrain.h5` if it is there, else the zoo's.

    Raises:
        UserError: it is not there and cannot be fetched.
    """
    root = root or weights_root()
    path = root / f"resnet{num_layers}_pretrain.h5"
    if path.is_file():
        return path
    for release in load_zoo(root).values():
        if not release.is_trained and release.num_layers == num_layers:
            return fetch(release, root)
    raise UserError(f"{path}: no such file, and none in the zoo; train with --weights_init scratch")


def _unknown(name: str | Path, names: list[str]) -> str:
    if Path(name).exists():
        return f"{name}: a file, not a folder of weights; name the folder it lies in"
    if os.sep in str(name):
        here = "" if Path(name).is_absolute() else f", which counts from {Path.cwd()}"
        return (
            f"{name}: no such folder of weights; check the path{here}, or name a release of weights/zoo.yml"
        )
    nearest = difflib.get_close_matches(str(name), names, n=2)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"there are {', '.join(names)}"
    return f"{name}: no such folder of weights, and no such name in weights/zoo.yml; {hint}"


def fetch(release: Release, root: Path) -> Path:
    """The folder (trained networks) or file (whole model, encoder) of a release, fetched when it is not there.

    What the user put into `root` under the release's file name is used, after the same checks, not the network. Of
    several processes one fetches and the others wait.

    Raises:
        UserError: no network, or what came or lies there is not what was published.
    """
    target = root / (release.name if release.is_archive else release.file)
    if _is_there(release, root, target):
        return target
    try:
        with _only_one(root, release.name):
            if not _is_there(release, root, target):
                _fetch(release, root, target)
    except OSError as error:
        # What is being fetched, and its parts, count as needed.
        why = why_not_written(error, root / INCOMING)
        raise UserError(f"{root}: cannot be written{why}, by MONODEPTH_WEIGHTS") from None
    return target


def _is_there(release: Release, root: Path, target: Path) -> bool:
    if release.is_archive:
        return target.is_dir()  # written whole, with one rename
    if target.is_file():
        _check_given(release, root, target)
    return target.is_file()


def _fetch(release: Release, root: Path, target: Path) -> None:
    given, incoming = root / release.file, root / INCOMING / release.file
    if given.is_file():
        _check_given(release, root, given)
        unpack(given, target, release.files)
        _pin(release, root, given)
        return
    if not release.can_be_fetched:
        raise UserError(f"{release.name}: no address of it is known; {_by_hand(release, root)}")
    _announce(release, root)
    try:
        download(release.address, incoming, _checksums(release, root))
        if release.is_archive:
            unpack(incoming, target, release.files)
        _pin(release, root, incoming)
        if not release.is_archive:
            os.replace(incoming, target)
    except DownloadError as error:
        raise UserError(
            f"{release.name}: cannot fetch {release.address}: {error}; try again, or {_by_hand(release, root)}"
        ) from None
    finally:
        incoming.unlink(missing_ok=True)


def _announce(release: Release, root: Path) -> None:
    size = f" ({release.megabytes} MB)" if release.megabytes else ""
    lines = [f"fetching {release.address}{size} to {root}", f"licence: {release.family.licence}"]
    if release.published is None:
        lines.append(
            f"no checksum of it is published; that of what comes now is kept in {_pin_file(release, root)}"
        )
    for line in lines:
        say(f"{release.name}: {line}")


def _by_hand(release: Release, root: Path) -> str:
    checksum = f" ({release.published})" if release.published else " (no checksum is published)"
    pin = _pin_file(release, root)
    if pin.exists():  # a mismatch may come from here
        checksum += f" (if it was meant to change: remove {pin})"
    scratch = "" if release.is_trained else ", or train with --weights_init scratch"
    return f"get {release.file}{checksum} by other means and put it into {root}{scratch}"


@contextlib.contextmanager
def _only_one(root: Path, name: str) -> Iterator[None]:
    """Waits until no other process fetches into this folder."""
    (root / INCOMING).mkdir(parents=True, exist_ok=True)
    from filelock import FileLock, Timeout

    lock = FileLock(root / INCOMING / "lock")
    try:
        with contextlib.suppress(NotImplementedError):  # a disk without locks
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"{name}: waiting for another process that fetches weights")
                lock.acquire()
        yield
    finally:
        lock.release()


# --- checksums ---


def _checksums(release: Release, root: Path) -> list[Checksum]:
    """What the file must meet: the published checksum, and that of the file that came first."""
    checksums = [release.published] if release.published else []
    pin = _pin_file(release, root)
    if pin.is_file():
        found = re.match(r"[0-9a-f]{64}\b", pin.read_text(encoding="utf-8", errors="replace"))
        if found is None:
            raise UserError(f"{pin}: holds no SHA-256; remove it if the release may be another than it was")
        checksums.append(Checksum("sha256", found[0]))
    return checksums


def _check_given(release: Release, root: Path, file: Path) -> None:
    problem = mismatch(file, _checksums(release, root))
    if problem:
        again = release.address if release.can_be_fetched else "it"
        raise UserError(f"{file}: another file than that name stands for: {problem}; get {again} again")


def _pin(release: Release, root: Path, file: Path) -> None:
    """Keeps the checksum of what came, as `sha256sum` writes it, where the published one does not settle it."""
    settled = release.published is not None and release.published.is_whole
    if not settled and not _pin_file(release, root).exists():
        write_text(_pin_file(release, root), f"{file_hash(file)}  {release.file}\n")


def _pin_file(release: Release, root: Path) -> Path:
    return root / f"{release.file}.sha256"


# --- python -m core.weights.zoo ---


def main(argv: list[str] | None) -> None:
    """Prints the zoo, or fetches what is named."""
    parser = argparse.ArgumentParser(
        "python -m core.weights.zoo",
        description="Weights by name.",
        epilog="example: python -m core.weights.zoo mono_640x192",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="releases to fetch now; none: print them all"
    )
    names = parser.parse_args(argv).names
    root = weights_root()
    zoo = load_zoo(root)
    for name in names:
        release = zoo.get(name)
        if release is None:
            raise UserError(_unknown(name, list(zoo)))
        print(fetch(release, root) if release.is_trained else imagenet_file(release.num_layers, root))
    if not names:
        print(_table(list(zoo.values())))


def _table(releases: list[Release]) -> str:
    """The zoo as text; `?` marks numbers that are known from memory or from other people's tables."""
    rows = [("name", "layers", "input", "from", "published", "data")]
    for release in releases:
        name, value = next(iter(release.metrics.items()), ("", 0.0))
        size = f"{release.width}x{release.height}" if release.width else ""
        published = f"{name} {value:.3f}{'?' if name in release.unverified else ''}" if name else ""
        rows.append(
            (release.name, str(release.num_layers or ""), size, release.mode, published, release.data)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    families = {release.family: None for release in releases}
    return "\n".join([*lines, "", *map(_terms, families)])


def _terms(family: Family) -> str:
    where = "no address known, to be fetched by hand" if family.address == NOWHERE else family.address
    return f"{where}\n    {family.licence}"


if __name__ == "__main__":
    run(main)
