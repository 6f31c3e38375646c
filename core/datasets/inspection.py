"""What a data set looks like to training, before hours are spent: `train.py --dry_run`."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from core.datasets.motion import check_stereo, motion, spread
from core.datasets.preparation import border_box
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.files.images import BadImageError, image_size, load_image
from core.geometry import rotation_angles
from core.plausibility.flow import advice_on_motion
from core.plausibility.motion import described

PAIRS = 8  # whose motion and disparity are measured
SHOWN = 10  # unreadable files, sequences


def inspect(
    dataset: SequenceDataset, decode: int, baseline: float | None
) -> tuple[list[str], list[BadImageError]]:
    """Describes the data set that training would see.

    Args:
        decode: images to read to the end, evenly chosen, 0 for all; of the others only the header is read.
        baseline: metres between the cameras of a stereo pair, None if not known.

    Returns:
        Lines for the user, and the errors of the images that are unreadable.
    """
    needed = {dataset.image_file(line, frame) for line in dataset.lines for frame in dataset.frames}
    paths = sorted(needed)
    sizes, bad = _read_images(paths, decode)
    some = 0 < decode < len(paths)
    if dataset.metres_per_unit is not None and "s" in dataset.frames:  # that of the known poses
        T = dataset.T_source_target(dataset.lines[0], "s")
        baseline = float(np.linalg.norm(T[:3, 3])) * dataset.metres_per_unit
    firsts = {line.folder: line for line in reversed(dataset.lines)}  # one line of each sequence
    chosen = [line for line in spread(dataset.lines, PAIRS) if _is_readable(dataset, line)]
    lines = [
        f"{len(firsts)} sequences, {len(dataset)} samples of frames {' '.join(map(str, dataset.frames))}, "
        f"{len(paths)} images",
        "image sizes: " + ", ".join(f"{w}x{h} ({count})" for (h, w), count in sizes.most_common()),
        *_intrinsics(dataset, firsts),
        *_frame_rates(dataset, firsts),
        *_motion(dataset, chosen),
        *(_known_motion(dataset) if dataset.metres_per_unit is not None else []),
        *(_stereo(dataset, chosen, baseline) if "s" in dataset.frames else []),
        f"unreadable: {len(bad)} of {len(paths)} images"
        + (f" ({decode} decoded, of the others only the header; all: --dry_run_images 0)" if some else ""),
        *(f"  {error}" for error in bad[:SHOWN]),
    ]
    return lines, bad


def _read_images(paths: list[Path], decode: int) -> tuple[Counter[tuple[int, int]], list[BadImageError]]:
    """How often each (height, width) occurs, and the errors."""
    from tqdm import tqdm

    decoded = set(spread(paths, decode or len(paths)))
    sizes: Counter[tuple[int, int]] = Counter()
    bad = []
    for path in tqdm(paths, desc="images", unit="image", disable=None):
        try:
            if path in decoded:
                image = load_image(path)
                sizes[image.height, image.width] += 1
            else:
                sizes[image_size(path, is_photo=True)] += 1
        except BadImageError as error:
            bad.append(error)
    return sizes, bad


def _intrinsics(dataset: SequenceDataset, firsts: dict[str, SplitLine]) -> Iterator[str]:
    """A line for each run of sequences with equal intrinsics."""

    def describe(line: SplitLine) -> str:
        K = dataset.K(line)
        # The outer edge of the first pixel lies at -0.5, except in KITTI's nominal K.
        edges = dataset.K_is_its_mirror or dataset.preparation.mirror == "edges"
        edge = 0 if edges else 0.5
        height, width = dataset.height, dataset.width
        if not dataset.preparation.scale_K:  # that of the file, cut
            size = image_size(dataset.image_path(line, 0))
            left, top, right, bottom = border_box(dataset.preparation.border_crop, *size)
            height, width = bottom - top, right - left
        fx, fy = K[0, 0] / width, K[1, 1] / height
        cx, cy = (K[0, 2] + edge) / width, (K[1, 2] + edge) / height
        return f"fx {fx:.4g} fy {fy:.4g} cx {cx:.4g} cy {cy:.4g} ({dataset.K_source(line)})"

    for description, group in groupby(firsts.items(), key=lambda item: describe(item[1])):
        names = [name for name, _ in group]
        yield f"intrinsics in units of the image size: {description}: {_listed(names)}"


def _frame_rates(dataset: SequenceDataset, firsts: dict[str, SplitLine]) -> Iterator[str]:
    for rate, group in groupby(firsts.items(), key=lambda item: dataset.frame_rate(item[1])):
        if rate is not None:
            yield f"frame rate: {rate:g} per second: {_listed([name for name, _ in group])}"


def _motion(dataset: SequenceDataset, lines: list[SplitLine]) -> Iterator[str]:
    """Typical motion to each source in time."""
    for frame in dataset.frames[1:]:
        if frame == "s" or not lines:
            continue
        found = sorted(motion(dataset.image_file(line, 0), dataset.image_file(line, frame)) for line in lines)
        typical = found[len(found) // 2]
        yield (
            f"motion to frame {frame}: median optical flow {typical * dataset.width:.1f} pixels of {dataset.width} "
            f"({found[0] * dataset.width:.1f} to {found[-1] * dataset.width:.1f} in {len(found)} samples)"
            f"{advice_on_motion(typical)}"
        )


def _known_motion(dataset: SequenceDataset) -> Iterator[str]:
    """What the measured poses say of the way to each source in time."""
    for frame in dataset.frames[1:]:
        if frame == "s":
            continue
        known = np.stack([dataset.T_source_target(line, frame) for line in dataset.lines])
        lengths = np.linalg.norm(known[:, :3, 3], axis=1) * dataset.metres_per_unit
        turns = np.degrees(rotation_angles(known))
        way = np.median([dataset.way(line, int(frame)) for line in dataset.lines], axis=0)
        yield (
            f"known motion to frame {frame}: median {np.median(lengths):.3g} m ({lengths.min():.3g} to "
            f"{lengths.max():.3g}), {np.median(turns):.2g}° (to {turns.max():.2g}°), {described(way)} m a frame"
        )


def _stereo(dataset: SequenceDataset, lines: list[SplitLine], baseline: float | None) -> Iterator[str]:
    """Whether left is left, and the baseline."""
    pairs = [
        [dataset.image_file(line, frame) for frame in ((0, "s") if dataset.side(line) < 0 else ("s", 0))]
        for line in lines
    ]
    checks = [check_stereo(left, right) for left, right in pairs]
    right, wrong = (sum(check.is_right is way for check in checks) for way in (True, False))
    if right == wrong:
        yield "stereo: UNCLEAR which camera is the left one; the images must be rectified and of the same moment"
    else:
        typical = sorted(check.disparity for check in checks)[len(checks) // 2]
        yield (
            f"stereo: {'left is left' if right > wrong else 'WRONG: exchange the left and the right images'} "
            f"({max(right, wrong)} of {len(checks)} pairs; median disparity {typical * dataset.width:.1f} pixels of "
            f"{dataset.width})"
        )
    if baseline is None:
        yield "stereo baseline: not known, so depth has no unit; --baseline METRES, or baseline in intrinsics.yaml"
    else:
        yield f"stereo baseline: {baseline:.4g} m"


def _is_readable(dataset: SequenceDataset, line: SplitLine) -> bool:
    paths = [dataset.image_file(line, frame) for frame in dataset.frames]
    try:
        for path in paths:
            load_image(path)  # of some only the header was read
    except BadImageError:
        return False
    return True


def _listed(names: list[str]) -> str:
    more = f", … ({len(names)})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
