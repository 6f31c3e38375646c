"""What images say of laser scans: whether edges of depth lie on theirs, or would if the scan were turned."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.datasets.motion import spread
from core.files.images import BadImageError, load_image
from core.plausibility.scans import LEAST_EDGES, check_turned, lies_on_edges

WIDTH = 320  # of the images
SCANS = 6
COLUMNS, ROW = 900, 0.5  # cells of a scan as its scanner sees it: around, and degrees of height
BEHIND = 0.25  # so much farther (logarithm) is what lies beside an edge of depth
REACH = 2  # cells
MOST_BESIDE = 4000  # points, for a mean
NEAREST = 0.5, 1.0  # metres before the camera, from the scanner
TURNS = range(360)  # degrees about z, to the left


class Seen(NamedTuple):
    """A scan and the image of its moment.

    Attributes:
        scan: (N, 3) or more columns, x forward, y left, z up, metres.
        projection: (3, 4) of the scan's points to (u z, v z, z).
        image: the file.
        size: (height, width) of it.
    """

    scan: np.ndarray
    projection: np.ndarray
    image: Path
    size: tuple[int, int]


class Edges(NamedTuple):
    """Of a scan and its image.

    Attributes:
        at: (M, 3) points on the near side of an edge of depth, which runs up and down.
        beside: (L, 3) the others.
        image: (h, 320) how much brightness changes along the row, beside the row's mean.
        projection: to pixels of that.
    """

    at: np.ndarray
    beside: np.ndarray
    image: np.ndarray
    projection: np.ndarray

    def sums(self, turn: float, mirrored: bool) -> np.ndarray:
        """Of the scan turned about z: sum and number of the values of `image` at edges, and beside them, (4,)."""
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([1, -1 if mirrored else 1, 1])
        M, h, w = self.projection[:, :3] @ R, *self.image.shape
        found = []
        for points in (self.at, self.beside):
            u, v, z = M @ points.T + self.projection[:, 3:]
            before = z > NEAREST[0]
            u, v = u[before] / z[before], v[before] / z[before]
            inside = (u >= 1) & (u < w - 1) & (v >= 0) & (v < h)
            values = self.image[v[inside].astype(int), u[inside].astype(int)]
            found += [float(values.sum()), float(values.size)]
        return np.array(found)


def check_scans(where: Path | str, seen: Sequence[Seen]) -> None:
    """Says where the scans of a data set lie better on their images when they are turned about z, or mirrored.

    Args:
        seen: scans with their images; some are looked at, and those without an image count for nothing.
    """
    found = [edges for one in spread(list(seen), SCANS) for edges in _edges(one)]
    if not found:
        return
    own, count = _score(found, 0, False)
    if count < LEAST_EDGES or lies_on_edges(own):
        return
    turns = [(_score(found, turn, mirrored), turn, mirrored) for mirrored in (False, True) for turn in TURNS]
    (best, _), turn, mirrored = max(
        (one for one in turns if one[0][1] >= LEAST_EDGES), default=((0.0, 0), 0, False)
    )
    check_turned(where, own, best, (turn + 180) % 360 - 180, mirrored, len(found))


def _score(found: list[Edges], turn: float, mirrored: bool) -> tuple[float, int]:
    """How much stronger the image's edges are at those of depth than elsewhere, and how many there are."""
    at, count, beside, others = sum((edges.sums(turn, mirrored) for edges in found), np.zeros(4))
    return (at / count) / (beside / others) if min(count, others, beside) > 0 else 0.0, int(count)


def _edges(seen: Seen) -> Iterator[Edges]:
    """Those of a scan and its image; nothing where the image is not there."""
    import cv2

    try:
        grey = load_image(seen.image).convert("L")
    except BadImageError:
        return
    height, width = seen.size
    h = max(1, round(WIDTH * height / width))
    small = cv2.resize(np.asarray(grey), (WIDTH, h), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), 1.0)
    edges = cv2.GaussianBlur(np.abs(cv2.Sobel(smooth, cv2.CV_32F, 1, 0)), (0, 0), 1.0)
    edges = edges / (edges.mean(axis=1, keepdims=True) + 1e-3)
    at, beside = _jumps(seen.scan)
    beside = beside[:: max(1, len(beside) // MOST_BESIDE)]
    scaled = np.diag([WIDTH / width, h / height, 1.0]) @ seen.projection[:3]
    yield Edges(at, beside, edges, scaled)


def _jumps(scan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of a scan before something farther, left or right as the scanner sees it, and the others; (·, 3) each."""
    points = scan[np.isfinite(scan[:, :3]).all(axis=1), :3].astype(np.float64)
    ranges = np.linalg.norm(points, axis=1)
    points, ranges = points[ranges > NEAREST[1]], ranges[ranges > NEAREST[1]]
    around = (np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) + 0.5) * COLUMNS
    up = np.degrees(np.arcsin(np.clip(points[:, 2] / ranges, -1, 1))) + 90
    order = np.argsort(-ranges)  # the nearest of a cell stays
    cells = np.full((int(180 / ROW) + 1, COLUMNS), -1)
    cells[(up[order] / ROW).astype(int), around[order].astype(int) % COLUMNS] = order
    known = cells >= 0
    logs = np.where(known, np.log(ranges[cells]) if len(ranges) else 0.0, np.nan)
    behind = np.zeros_like(known)
    for step in range(1, REACH + 1):
        for shift in (step, -step):
            behind |= np.nan_to_num(np.roll(logs, shift, axis=1) - logs) > BEHIND
    return points[cells[known & behind]], points[cells[known & ~behind]]
