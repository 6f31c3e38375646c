"""What optical flow says of known motion: whether it goes along the camera's axes, and how far away the scene is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.datasets.motion import WIDTH, optical_flow
from core.files.images import BadImageError
from core.geometry import invert_rigid
from core.plausibility.motion import (
    FORWARD_LEFT_UP,
    FORWARD_RIGHT_DOWN,
    check_depth_of_flow,
    check_flow,
    check_lines_of_flow,
)

GRID = 4  # pixels of 320 between the points that are looked at
MOVED = 0.5  # pixels of 320, least flow beside that of rotation which has a direction
LEAST_MOVED = 0.2  # share of the points: cars that pass a standing camera are fewer
NEAR = 2.0  # metres; motion that would move what is so near by less than MOVED is that of a standing camera
TRUSTED = 0.8  # cosine from which flow tells how far away the scene is

# What T_world_body in a file may be instead, and what the camera's motion then is: of the poses of target and source.
Reading = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Pair(NamedTuple):
    """A target and a source of one camera, and how they are known to lie.

    Attributes:
        first, second: the images of target and source.
        apart: frames from target to source, below 0 where it is earlier.
        intrinsics: fx, fy, cx, cy in units of the image size.
        T_world_target, T_world_source: of the body, (4, 4), metres.
        T_camera_body: (4, 4).
    """

    first: Path
    second: Path
    apart: int
    intrinsics: Sequence[float]
    T_world_target: np.ndarray
    T_world_source: np.ndarray
    T_camera_body: np.ndarray

    def T_source_target(self, reading: Reading) -> np.ndarray:  # noqa: N802
        """(4, 4) of the camera, where the poses are read so."""
        T = reading(self.T_world_target, self.T_world_source)
        return np.asarray(self.T_camera_body @ T @ np.linalg.inv(self.T_camera_body))

    @property
    def way(self) -> np.ndarray:
        """(3,) metres that the camera moves in a frame, right, down and forward."""
        T = invert_rigid(self.T_source_target(as_they_stand))
        return np.asarray(T[:3, 3] / self.apart)


def as_they_stand(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """T_source_target of T_world_camera."""
    return np.asarray(invert_rigid(source) @ target)


def _turned(A: np.ndarray) -> Reading:
    B = np.eye(4)
    B[:3, :3] = A
    return lambda target, source: B.T @ invert_rigid(source) @ target @ B


def _transposed(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    target, source = target.copy(), source.copy()
    for T in (target, source):
        T[:3, :3] = T[:3, :3].T
    return as_they_stand(target, source)


READINGS: dict[str, Reading] = {
    "": as_they_stand,
    "inverted poses (T_camera_world, world to camera)": lambda target, source: source @ invert_rigid(target),
    "poses of OpenGL's axes (x right, y up, z backward)": _turned(np.diag([1.0, -1.0, -1.0])),
    "poses of a body whose axes are x forward, y left, z up": _turned(FORWARD_LEFT_UP),
    "poses of a body whose axes are x forward, y right, z down": _turned(FORWARD_RIGHT_DOWN),
    "transposed rotations": _transposed,
    "rows in the reverse order of time": lambda target, source: invert_rigid(target) @ source,
    "motions, not poses": lambda target, source: target,
    "motions (T_current_next), not poses": lambda target, source: invert_rigid(target),
    "poses of left-handed axes (x right, y up, z forward)": _turned(np.diag([1.0, -1.0, 1.0])),
    "poses of left-handed axes (x left, y down, z forward)": _turned(np.diag([-1.0, 1.0, 1.0])),
    "poses of left-handed axes (x right, y down, z backward)": _turned(np.diag([1.0, 1.0, -1.0])),
}
OF_NEIGHBOURS = ("motions, not poses", "motions (T_current_next), not poses")  # which such a row is of


class Evidence(NamedTuple):
    """Of a pair.

    Attributes:
        scores: of each reading, the mean cosine of flow without rotation and the direction that the motion gives it;
            NaN of those by which the camera stands.
        depth: metres, the median where flow and motion agree; NaN where they hardly do.
        off_lines: of each reading, pixels of 320 between flow and the lines along which the motion moves pixels.
    """

    scores: np.ndarray
    depth: float
    off_lines: np.ndarray


def look_at(pair: Pair) -> Evidence | None:
    """Compares known motion with the flow between the images; None where the camera stands by the images.

    A pixel x (homogeneous, by K⁻¹) at depth Z is seen at π(R x + t / Z), so that in 1 / Z it moves from π(R x) along
    the derivative there.

    Raises:
        BadImageError: an image is missing or damaged.
    """
    flow = optical_flow(pair.first, pair.second)
    height = flow.shape[0]
    v, u = (axis.ravel() for axis in np.mgrid[GRID : height - GRID : GRID, GRID : WIDTH - GRID : GRID])
    fx, fy, cx, cy = np.array(pair.intrinsics) * [WIDTH, height, WIDTH, height]
    focal = np.array([fx, fy])
    x = np.stack([(u + 0.5 - cx) / fx, (v + 0.5 - cy) / fy, np.ones(len(u))])
    seen = (x[:2] + (flow[v, u] / focal).T) * focal[:, None]
    if (np.linalg.norm(flow[v, u], axis=1) > MOVED).mean() < LEAST_MOVED:
        return None
    scores, depth, off_lines = [], float("nan"), []
    for name, reading in READINGS.items():
        if name in OF_NEIGHBOURS and abs(pair.apart) != 1:
            scores.append(-1.0)
            off_lines.append(float("inf"))
            continue
        T = pair.T_source_target(reading)
        if name in OF_NEIGHBOURS and pair.apart < 0:
            T = invert_rigid(T)
        score, found, off_line = _compare(seen, x, T, focal)
        scores.append(score)
        off_lines.append(off_line)
        if not name:
            depth = found
    return Evidence(np.array(scores), depth, np.array(off_lines))


def _compare(seen: np.ndarray, x: np.ndarray, T: np.ndarray, focal: np.ndarray) -> tuple[float, float, float]:
    """Score, depth and way off the lines of `Evidence`, NaN and inf where there is none.

    Args:
        seen: (2, M) pixels without the centre.
    """
    nothing = float("nan"), float("inf")
    turned = T[:3, :3] @ x
    if (turned[2] < 0.1).any():
        return -1.0, *nothing  # turned away: the images have nothing in common
    start = turned[:2] / turned[2] * focal[:, None]
    along = (T[:2, 3:] - turned[:2] / turned[2] * T[2, 3]) / turned[2] * focal[:, None]
    off = seen - start
    long, reach = np.linalg.norm(off, axis=0), np.linalg.norm(along, axis=0)
    moved = (long > MOVED) & (reach > 0)
    if moved.mean() < LEAST_MOVED:
        return float("nan"), *nothing
    stands = np.median(reach) / NEAR < MOVED
    cosine = (off * along).sum(axis=0)[moved] / (long * reach)[moved]
    depth = float(np.median(reach[moved] / long[moved]))
    score = float(cosine.mean())
    across = np.abs(off[0] * along[1] - off[1] * along[0])[moved] / reach[moved]
    return (
        float("nan") if stands else score,
        depth if score >= TRUSTED else float("nan"),
        float(np.median(across)),
    )


def check_pairs(where: str, pairs: Sequence[Pair]) -> None:
    """Says where the known motion of a sequence runs otherwise than the optical flow, or is in another unit.

    Args:
        where: whose poses.
        pairs: some of the sequence, whose camera moves.
    """
    ways, found = [], []
    for pair in pairs:
        try:
            evidence = look_at(pair)
        except BadImageError:
            continue
        if evidence is not None:
            ways.append(pair.way)
            found.append(evidence)
    if not found:
        return
    way, table = np.median(ways, axis=0), np.stack([evidence.scores for evidence in found])
    known = np.isfinite(table).mean(axis=0) > 0.5
    scores = np.where(known, np.median(np.nan_to_num(table), axis=0), np.nan)
    if check_flow(where, way, list(zip(READINGS, scores.tolist(), strict=True))):
        off_lines = np.stack([evidence.off_lines for evidence in found]).T
        named = zip(READINGS, off_lines.tolist(), strict=True)
        check_lines_of_flow(where, off_lines[0].tolist(), [one for one in named if "left-handed" in one[0]])
    depths = [evidence.depth for evidence in found if np.isfinite(evidence.depth)]
    if 2 * len(depths) > len(pairs):
        check_depth_of_flow(where, float(np.median(depths)), float(np.linalg.norm(way)))
