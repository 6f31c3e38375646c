"""How much two images differ: the typical motion between neighbours, and which camera of a pair is the left one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from core.errors import UserError
from core.files.images import load_image
from core.plausibility.cameras import check_rows, check_sides, is_other_shape

WIDTH = 320  # of the images compared; a share of the width is what counts
LEAST_HEIGHT = 32
DISPARITIES = 64  # at that width: as near as a fifth of the width
BLOCK = 5
LEAST_MATCHED = 0.05  # share of the pixels; fewer may be chance
OFF_ROW = 1.0  # pixels of 320; in rectified pairs of one moment nearly all flow runs along the rows
RETURNS = 1.0  # pixels of 320: flow there and back ends so near its start, or it is not believed
LEAST_RETURNING = 0.25  # share of the pixels; fewer have nothing in common

Value = TypeVar("Value")


@dataclass(frozen=True)
class StereoCheck:
    """What block matching found in a stereo pair.

    Attributes:
        right_way: share of the pixels that are matched with the left camera on the left.
        wrong_way: the same with the two exchanged.
        disparity: median over the matched pixels of the better way, as a share of the image width.
        off_rows: of the pixels whose flow returns, the share in another row; None where hardly any does.
    """

    right_way: float
    wrong_way: float
    disparity: float
    off_rows: float | None = None

    @property
    def is_right(self) -> bool | None:
        """Whether near things lie farther right in the left image, as they must; None where too little matches."""
        if max(self.right_way, self.wrong_way) < LEAST_MATCHED:
            return None
        return self.right_way > self.wrong_way


def motion(first: Path, second: Path) -> float:
    """Median length of the optical flow from one image to another, as a share of the image width.

    The median, so that cars which pass a standing camera do not count. By dense inverse search (Kroeger et al. 2016).

    Raises:
        BadImageError: an image is missing or damaged.
    """
    return float(np.median(np.linalg.norm(optical_flow(first, second), axis=-1))) / WIDTH


def optical_flow(first: Path, second: Path) -> np.ndarray:
    """From one image to another, (h, 320, 2) float32, x and y in pixels of that size.

    Raises:
        BadImageError: an image is missing or damaged.
    """
    return _flow(*_two_grey(first, second))


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    import cv2

    flow = np.zeros((*one.shape, 2), np.float32)
    cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(one, other, flow)
    return flow


def check_stereo(left: Path, right: Path) -> StereoCheck:
    """Matches a rectified pair both ways round, by semi-global matching (Hirschmüller 2008).

    Raises:
        BadImageError: an image is missing or damaged.
    """
    one, other = _two_grey(left, right)
    plain, exchanged = _disparities(one, other), _disparities(other, one)
    better = max(plain, exchanged, key=lambda found: found.size)
    median = float(np.median(better)) / WIDTH if better.size else 0.0
    return StereoCheck(plain.size / one.size, exchanged.size / one.size, median, _off_rows(one, other))


def check_stereo_pairs(where: Path | str, pairs: Iterable[tuple[Path, Path]]) -> None:
    """Says where left and right look exchanged, or of two moments; see `core.plausibility.cameras`.

    Unreadable pairs do not count; those of which too little matches count as right.

    Args:
        pairs: a left and a right image each.
    """
    checks = []
    for left, right in pairs:
        try:
            checks.append(check_stereo(left, right))
        except UserError:  # whoever reads the images says so
            continue
    check_sides(where, sum(check.is_right is False for check in checks), len(checks))
    check_rows(where, [check.off_rows for check in checks if check.off_rows is not None])


def _off_rows(one: np.ndarray, other: np.ndarray) -> float | None:
    """`StereoCheck.off_rows` of grey images (h, 320)."""
    import cv2

    there, back = _flow(one, other), _flow(other, one)
    v, u = np.mgrid[: one.shape[0], : one.shape[1]].astype(np.float32)
    back = cv2.remap(back, u + there[..., 0], v + there[..., 1], cv2.INTER_LINEAR)
    returns = np.linalg.norm(there + back, axis=-1) < RETURNS
    if returns.mean() < LEAST_RETURNING:
        return None
    return float((np.abs(there[..., 1]) > OFF_ROW)[returns].mean())


def _disparities(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The disparities (M,) above half a pixel that both directions of matching agree on."""
    import cv2

    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=DISPARITIES,
        blockSize=BLOCK,
        P1=8 * BLOCK**2,
        P2=32 * BLOCK**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=50,
        speckleRange=1,
    )
    disparity = matcher.compute(left, right) / 16  # fixed point
    return np.asarray(disparity[disparity > 0.5])


def spread(values: list[Value], count: int) -> list[Value]:
    """So many of the values, evenly chosen; all if there are no more."""
    if count >= len(values):
        return values
    return [values[n * len(values) // count] for n in range(count)]


def _two_grey(first: Path, second: Path) -> tuple[np.ndarray, np.ndarray]:
    """Both as uint8 (h, 320), the shape of the first kept.

    Raises:
        BadImageError: one is missing or damaged.
        UserError: they differ in shape, not only in size.
    """
    images = [load_image(path).convert("L") for path in (first, second)]
    (height, width), other = ((image.height, image.width) for image in images)
    if is_other_shape((height, width), other):
        raise UserError(
            f"{second}: {other[1]}x{other[0]}, but {first} is {width}x{height}: images of one sequence must "
            "have one shape"
        )
    size = WIDTH, max(LEAST_HEIGHT, round(WIDTH * height / width))
    one, two = (np.asarray(image.resize(size, reducing_gap=3)) for image in images)
    return one, two
