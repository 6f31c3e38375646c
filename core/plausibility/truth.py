"""True depth: its unit, what stands for unknown, its shape, and how much of it there is."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.plausibility.checks import impossible, unlikely

MEDIAN = 0.05, 200.0  # metres; from an endoscope's tissue to what a laser of a car still sees
# What else true depth may be in: metres of one.
UNITS = {
    "millimetres": 1e-3,
    "centimetres": 1e-2,
    "the steps of a 16-bit picture, 1/256 m": 1 / 256,
    "kilometres": 1e3,
}
USUAL = 0.5, 100.0  # metres; of such units those are named that give a median in it
FEW_PIXELS = 100  # an image; one scale for each image fits so few by chance
EQUAL_AT_END, EQUAL = 0.05, 0.3  # share of the pixels with the greatest or the least depth; with another one
LEAST_DISTINCT = 20  # numbers, of which one can say what they look like
SAMPLE = 1_000_000  # pixels that are looked at of all
LEAST_SAMPLE = 1000
LOOKED_AT = 6  # maps of a data set whose maps are read one by one
SCANNED = 150.0  # metres; KITTI's annotated depth comes of scans, which reach 120
LEAST_FARTHEST = 1.0  # metres
BEYOND = 0.05  # share of the pixels
WORN = 1.02  # of the ratio of sides: rounding of a resize stays below
TURNED = 1.1
OTHER = 1.5  # of another ratio than by any resize


def check_truth(where: Path | str, maps: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Makes sure that maps can be depth in metres, and that no one number of theirs means unknown.

    Args:
        maps: the known depths of each, (M,), metres.
        names: of the images.

    Raises:
        UserError: they are of another unit, unless that is accepted.
    """
    known = [values for values in maps if values.size]
    if not known:
        return
    sample = _sample(known)
    unknown = check_equal(where, sample)
    if unknown is not None:
        sample = sample[sample != unknown]
    if not check_unit(where, sample):
        return
    _check_numbers(where, sample, max(float(values.max()) for values in known))
    whole, wrong = float(np.median(sample)), []
    for number, values in enumerate(maps):
        values = values if unknown is None else values[values != unknown]
        if values.size >= FEW_PIXELS and not MEDIAN[0] <= (median := float(np.median(values))) <= MEDIAN[1]:
            wrong.append((number, median))
    if wrong:
        number, median = wrong[0]
        name = f" ({names[number]})" if names and names[number] else ""
        impossible(
            "truth_unit",
            f"{where}: map {number}{name} has a median of {_metres(median)}, the others of {_metres(whole)} "
            f"({len(wrong)} of {len(maps)} maps): {unit_of(median)}",
        )


def _check_numbers(where: Path | str, sample: np.ndarray, greatest: float) -> None:
    """Says where depths look like something else than measured lengths, though they could be metres."""
    distinct = np.unique(sample)
    if distinct.size < LEAST_DISTINCT:
        return
    like = ""
    if (distinct == np.round(distinct)).all():
        like = f"all are whole numbers ({distinct[0]:g} to {distinct[-1]:g}), like the steps of a picture"
    elif greatest == 1.0:
        like = "the greatest is exactly 1, like that of depth divided by its greatest"
    if like:
        unlikely("truth_unit", f"{where}: are these metres? {like}; write metres")


def check_map(where: Path | str, depths: np.ndarray) -> None:
    """As `check_unit`, of one map of many, in which few pixels say nothing.

    Raises:
        UserError: its depths cannot be metres, unless that is accepted.
    """
    if depths.size >= FEW_PIXELS:
        check_unit(where, depths)


def check_unit(where: Path | str, depths: np.ndarray) -> bool:
    """Makes sure that depths can be metres; whether they can.

    Args:
        depths: (M,) known depths.

    Raises:
        UserError: they cannot, unless that is accepted.
    """
    median = float(np.median(depths)) if depths.size else MEDIAN[0]
    plausible = MEDIAN[0] <= median <= MEDIAN[1]
    if not plausible:
        impossible(
            "truth_unit", f"{where}: the median of the true depth is {_metres(median)}: {unit_of(median)}"
        )
    return plausible


def check_equal(where: Path | str, depths: np.ndarray) -> float | None:
    """Says where many pixels have one and the same depth: some number that means unknown; that number.

    Args:
        depths: (M,) known depths, or a sample of them.
    """
    if depths.size < LEAST_SAMPLE:
        return None
    values, counts = np.unique(depths, return_counts=True)
    most = int(counts.argmax())
    value, share, at_end = float(values[most]), counts[most] / depths.size, most in (0, values.size - 1)
    if share < (EQUAL_AT_END if at_end else EQUAL) or values.size == 1:
        return None
    unlikely(
        "truth_unknown",
        f"{where}: {share:.0%} of the known pixels have one and the same depth, {value:.6g} m: a number that means "
        "unknown? write 0 there",
    )
    return value


def check_steps_of_kitti(path: Path, depth: np.ndarray) -> None:
    """Makes sure that a picture whose unit nothing says, and is taken for 1/256 m, can have it.

    Args:
        depth: (height, width), metres, 0 where unknown.

    Raises:
        UserError: it is all nearer than anything before a scanner, unless that is accepted.
    """
    farthest = float(depth.max())
    if 0 < farthest < LEAST_FARTHEST:
        impossible(
            "truth_unit",
            f"{path}: no depth of a metre or more ({farthest:.3g} m at most), so its unit is not 1/256 m; copy or "
            "make it again",
        )


def check_annotated(path: Path, depth: np.ndarray) -> None:
    """Makes sure that an annotated map, whose unit is 1/256 m, ends where a scanner's reach does.

    Args:
        depth: (height, width), metres, 0 where unknown.

    Raises:
        UserError: much of it is farther, unless that is accepted.
    """
    far, known = np.count_nonzero(depth > SCANNED), np.count_nonzero(depth > 0)
    if far > BEYOND * known:
        impossible(
            "truth_unit",
            f"{path}: {far / known:.0%} of its depths are beyond {SCANNED:g} m, up to {depth.max():.4g}; "
            "a scanner sees no farther than 120: looks like millimetres in place of 1/256 m; write steps of 1/256 m",
        )


def unit_of(median: float) -> str:
    """What true depth of that median looks like, and the cure."""
    units = [
        f"{name} ({_metres(median * to)})"
        for name, to in UNITS.items()
        if USUAL[0] <= median * to <= USUAL[1]
    ]
    return f"not metres, looks like {' or '.join(units) or 'something else than depth'}; write metres"


def check_shapes(
    where: Path | str,
    truths: Sequence[tuple[int, int]],
    seen: Sequence[tuple[int, int] | None],
    names: Sequence[str],
    what: str = "images",
) -> None:
    """Makes sure that every truth has the shape of its image.

    Args:
        truths: (height, width) of each.
        seen: (height, width) of its image, or of its prediction, whose sides may be in any ratio; None if not known.
        what: of the two.

    Raises:
        UserError: one is turned, unless that is accepted.
    """
    for truth, image, name in zip(truths, seen, names, strict=True):
        if image is None or image == truth:
            continue
        ratio_truth, ratio_image = truth[1] / truth[0], image[1] / image[0]
        sizes = f"{where}: {image[1]}x{image[0]} {what}, {truth[1]}x{truth[0]} truth ({name})"
        if (ratio_truth > TURNED and ratio_image < 1 / TURNED) or (
            ratio_truth < 1 / TURNED and ratio_image > TURNED
        ):
            impossible(
                "truth_shape",
                f"{sizes}: looks like truth turned by 90° or transposed; turn it as the images are",
            )
            return
        change = math.exp(abs(math.log(ratio_truth / ratio_image)))
        cut = truth[0] <= image[0] and truth[1] <= image[1]
        if what == "images" and change > (WORN if cut else OTHER):
            unlikely(
                "truth_shape",
                f"{sizes}: {'cut out of it' if cut else 'of another shape'}, not only resized; predictions are resized "
                "to the truth, so take the truth of whole images",
            )
            return


def few_pixels(counts: np.ndarray) -> str | None:
    """What to say where few pixels of an image are known or compared; None where there are enough.

    Args:
        counts: (N,) pixels of each image that has any.
    """
    few = int((counts < FEW_PIXELS).sum())
    if not few:
        return None
    return (
        f"FEW: {few} of {len(counts)} images have less than {FEW_PIXELS}, to which a scale for each image fits by "
        "chance; take denser truth, or another crop"
    )


def _sample(maps: Sequence[np.ndarray]) -> np.ndarray:
    """So many of the depths of all maps, evenly chosen."""
    step = max(1, sum(values.size for values in maps) // SAMPLE)
    return np.concatenate([values[::step] for values in maps])


def _metres(value: float) -> str:
    return f"{value:.3g} m" if value < 1000 else f"{value / 1000:.3g} km"
