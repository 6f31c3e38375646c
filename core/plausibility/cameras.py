"""Cameras: where their centre lies, how their pixels are, rigs, and images of one camera."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.plausibility.checks import impossible, unlikely

# In units of width and height: from 168° across to a tele lens of 40 times. Beyond are pixels, most likely.
FOCAL = 0.05, 20.0
# Of the image: lenses are mounted before the middle of their sensor, and rectifying and cutting move it a little.
CENTRE = 0.35, 0.65
# Images may have been cut, mostly in one direction, such as a bonnet or the sky; K of another size is off in both.
# Where the size that the numbers are of was said, both may be cut.
EDGE = 0.2, 0.8
# A camera's pixels are square; images are stretched when they are stored, but hardly so.
SQUARE, STRETCHED = 1.3, 4.0
OF_FILES = 2.0  # a calibration knows its images, which may have been stretched
LEAST_PAIRS = 2  # of which something is said
# Share of a stereo pair's pixels that lie in another row, more than 1 pixel of 320 off: of rectified ones of a moment
# below 0.08 (KITTI, Middlebury), one frame apart on a street 0.2 to 0.5.
OFF_ROWS = 0.15
BASELINE = 1e-3, 10.0  # metres: an endoscope's, and that of a truck with outriggers
RIGID = 1e-3  # of R R^T - 1: calibrations have five digits and more
# KITTI's own cameras, of all days and sequences: fx over the width, fy over the height, metres between the colour
# cameras. They stray from it by 1.5 %.
KITTI = 0.58, 1.92, 0.54
STRAY = 0.03
# KITTI's sizes of rectified images, (height, width), and their focal length in pixels.
KITTI_FOCAL = {
    (376, 1241): 718.856,
    (375, 1242): 721.5377,
    (370, 1226): 707.0912,
    (370, 1224): 707.0493,
    (374, 1238): 718.3351,
}
OTHER_FOCAL = 1e-3
# Of KITTI's cameras the principal point lies at 0.46 to 0.5 of the image; in resized images at something else.
KITTI_CENTRE = 0.45, 0.55
WORN = 1.02  # of the ratio of sides: rounding of a resize stays below

Intrinsics = Sequence[float]
Size = tuple[int, int]


def is_camera(intrinsics: Intrinsics) -> bool:
    """Whether fx, fy, cx, cy in units of the image size can be a camera's at all."""
    inside = all(FOCAL[0] < value < FOCAL[1] for value in intrinsics[:2])
    return inside and all(0 < value < 1 for value in intrinsics[2:])


def check_camera(
    where: Path | str,
    intrinsics: Intrinsics,
    size: Size,
    by_hand: bool = False,
    cure: str = "",
    square: float = SQUARE,
) -> None:
    """Makes sure that a camera's centre and pixels can be those of its images.

    Args:
        intrinsics: fx, fy, cx, cy in units of the image size.
        size: (height, width) of the images as they are stored.
        by_hand: the size that the numbers are of was said beside them, so that the image may have been cut.
        cure: what to do instead.
        square: how far from square pixels may be without a word.

    Raises:
        UserError: they cannot, unless that is accepted.
    """
    fx, fy, cx, cy = intrinsics
    height, width = size
    outside = [not CENTRE[0] <= value <= CENTRE[1] for value in (cx, cy)]
    beyond = [not EDGE[0] <= value <= EDGE[1] for value in (cx, cy)]
    centre = f"{where}: the principal point is at {cx:.4g} of the width and {cy:.4g} of the height"
    like = (
        f"no camera of {width}x{height} has it there, that of an image of about {2 * cx * width:.0f}x"
        f"{2 * cy * height:.0f} has; {cure or 'write K in pixels of these images'}"
    )
    if any(beyond) or (all(outside) and not by_hand):
        impossible("camera_centre", f"{centre}: {like}")
    elif any(outside):
        unlikely("camera_centre", f"{centre}: was the image cut? else {like}")
    shape = fx * width / (fy * height)
    stretched, long, wide = max(shape, 1 / shape), *(("high", "wide") if shape < 1 else ("wide", "high"))
    if stretched > square:
        pixels = (
            f"{where}: fx {fx * width:.4g} and fy {fy * height:.4g} pixels of {width}x{height}: pixels are "
            f"{stretched:.3g} times as {long} as {wide}"
        )
        if stretched > STRETCHED:
            impossible("camera_pixels", f"{pixels}: no camera's; are the sides exchanged?")
        else:
            unlikely("camera_pixels", f"{pixels}; right only where the images were stretched")


def check_sides(where: Path | str, exchanged: int, pairs: int) -> None:
    """Says where in all of some stereo pairs near things lie farther left in the left image.

    Args:
        exchanged: pairs in which they do.
        pairs: that were looked at.
    """
    if exchanged == pairs >= LEAST_PAIRS:
        unlikely(
            "stereo_sides",
            f"{where}: the left and the right images look exchanged (all of {pairs} stereo pairs): depth would lie "
            "behind the camera; exchange the two folders",
        )


def check_rows(where: Path | str, shares: Sequence[float]) -> None:
    """Says where the images of stereo pairs see things in other rows.

    Args:
        shares: of each pair that was looked at, the share of the pixels that do.
    """
    typical = sorted(shares)[(len(shares) - 1) // 2] if shares else 0.0
    if len(shares) >= LEAST_PAIRS and typical > OFF_ROWS:
        unlikely(
            "stereo_rows",
            f"{where}: {typical:.0%} of the pixels lie in another row of the right image (median of {len(shares)} "
            "stereo pairs): the two are of different moments, or not rectified; pair the images of one moment",
        )


def check_baseline(where: Path | str, metres: float) -> None:
    """Makes sure that cameras can be so far apart.

    Raises:
        UserError: they cannot, unless that is accepted.
    """
    if not BASELINE[0] <= metres <= BASELINE[1]:
        like = "millimetres" if metres > 1 else "kilometres"
        impossible(
            "baseline",
            f"{where}: the cameras of a stereo pair are {metres:g} m apart, not between 1 mm and 10 m: looks "
            f"like {like}; write metres",
        )


def check_projections(
    path: Path, projections: Mapping[str, Sequence[Sequence[float]]], size: Size | None
) -> None:
    """Makes sure that projections of a calibration are of cameras, of images of a size, and near each other.

    Args:
        projections: rows of the (3, 4) matrices K [I | t] by their keys, the left one first.
        size: (height, width) of the images; None if not known.

    Raises:
        UserError: they are not, unless that is accepted.
    """
    for key, P in projections.items():
        if not (P[0][0] > 0 and P[1][1] > 0):
            impossible(
                "calibration",
                f"{path}: malformed calibration: {key} must begin with K, rows fx 0 cx, 0 fy cy and 0 0 1 with "
                "fx and fy above 0; unpack it again",
            )
            return
        if size is not None:
            relative = (
                P[0][0] / size[1],
                P[1][1] / size[0],
                (P[0][2] + 0.5) / size[1],
                (P[1][2] + 0.5) / size[0],
            )
            check_camera(
                f"{path}: {key}",
                relative,
                size,
                cure="the size of the images must be the one that it is of",
                square=math.inf,
            )
    if len(projections) == 2:
        left, right = projections.values()
        apart = abs(right[0][3] / right[0][0] - left[0][3] / left[0][0])
        if apart:
            check_baseline(path, apart)


def check_rotation(path: Path, key: str, R: Sequence[Sequence[float]]) -> None:
    """Makes sure that a (3, 3) matrix of a calibration is a rotation.

    Raises:
        UserError: it is not, unless that is accepted.
    """
    products = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in R] for one in R]
    error = max(abs(products[i][j] - (i == j)) for i in range(3) for j in range(3))
    determinant = sum(
        R[0][i] * (R[1][(i + 1) % 3] * R[2][(i + 2) % 3] - R[1][(i + 2) % 3] * R[2][(i + 1) % 3])
        for i in range(3)
    )
    if not (error < RIGID and determinant > 0):
        impossible("calibration", f"{path}: malformed calibration: {key} must be a rotation; unpack it again")


def check_kitti_rig(path: Path, focal: tuple[float, float] | None, metres: float | None, cure: str) -> None:
    """Makes sure that a calibration in KITTI's tree is of KITTI's cameras, whose numbers are taken for all of it.

    Args:
        focal: fx and fy in units of the image size, where KITTI's are taken.
        metres: between the cameras, where KITTI's are taken.

    Raises:
        UserError: it is of another rig, unless that is accepted.
    """
    values: dict[str, tuple[float, float]] = {}
    if focal is not None:
        values |= {"fx": (focal[0], KITTI[0]), "fy": (focal[1], KITTI[1])}
    if metres:
        values["baseline"] = (metres, KITTI[2])
    other = [
        f"{name} {own:.4g} (KITTI: {its:g})"
        for name, (own, its) in values.items()
        if _stray(own, its) > STRAY
    ]
    if other:
        impossible(
            "kitti_rig",
            f"{path}: a rig of its own: {', '.join(other)}, and KITTI's numbers would be taken; {cure}",
        )


def check_kitti_sequence(path: Path, focal: float, size: Size) -> None:
    """Makes sure that a calibration of KITTI odometry is that of its images, which have one of KITTI's sizes.

    Args:
        focal: fx in pixels.
        size: (height, width) of the images.

    Raises:
        UserError: it is of another sequence, unless that is accepted.
    """
    expected = KITTI_FOCAL.get(size)
    if expected is not None and _stray(focal, expected) > OTHER_FOCAL:
        same = [f"{w}x{h}" for (h, w), known in KITTI_FOCAL.items() if _stray(focal, known) < 1e-4]
        like = f": looks like that of another sequence, of images of {same[0]}" if same else ""
        impossible(
            "kitti_rig",
            f"{path}: fx is {focal:.6g} pixels, but KITTI's images of {size[1]}x{size[0]} have "
            f"{expected:g}{like}; unpack the calibration of this sequence there",
        )


def check_kitti_centre(path: Path, centre: tuple[float, float], size: Size) -> None:
    """Makes sure that a calibration of KITTI odometry is of images of this size.

    Args:
        centre: the principal point in units of the image size.
        size: (height, width) of the images.

    Raises:
        UserError: it is of another size, unless that is accepted.
    """
    if not all(KITTI_CENTRE[0] <= c <= KITTI_CENTRE[1] for c in centre):
        impossible(
            "camera_centre",
            f"{path}: its principal point is at {centre[0]:.2f} of the width and {centre[1]:.2f} of the height of the "
            f"images, {size[1]}x{size[0]}: it holds for another size; take KITTI's original images (training resizes "
            "them itself), or scale the P of the calibration with yours",
        )


def check_sequence(folder: Path, sizes: Mapping[Path, Size]) -> None:
    """Makes sure that the images of a sequence have one shape, for they have one K.

    Args:
        sizes: (height, width) of each image, in their order; sizes may differ where shapes do not.

    Raises:
        UserError: one has another shape than the first, unless that is accepted.
    """
    if not sizes:
        return
    first, (height, width) = next(iter(sizes.items()))
    others = [path for path, (h, w) in sizes.items() if is_other_shape((h, w), (height, width))]
    if others:
        h, w = sizes[others[0]]
        turned = (
            "; turn them alike" if (h > w) != (height > width) else "; put them into folders of their own"
        )
        impossible(
            "sequence_shapes",
            f"{others[0]}: {w}x{h}, but {first.name} is {width}x{height} ({len(others)} of {len(sizes)} images "
            f"of {folder} have another shape): one K cannot be of both{turned}",
        )


def is_other_shape(one: Size, other: Size) -> bool:
    """Whether two (height, width) differ in shape, not only in size."""
    return abs(math.log(one[1] * other[0] / (one[0] * other[1]))) > math.log(WORN)


def _stray(value: float, nominal: float) -> float:
    return abs(math.log(value / nominal)) if value > 0 else math.inf
