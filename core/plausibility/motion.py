"""The camera's motion: its unit, and whether it runs along the axes and in the direction that images or a truth say."""

import math
from collections.abc import Sequence

import numpy as np

from core.plausibility.checks import impossible, unlikely
from core.plausibility.truth import MEDIAN

# Metres between a target and a source: farther is another unit or a jump of the GPS; nearer is no motion at all.
LEAST_MOVE, MOST_MOVE = 1e-4, 50.0
TINY = 2e-3  # metres a frame: of a path in kilometres, or of a very slow camera
OF_ALL = 1e-9  # of the largest number: nearer to each other are positions that differ by rounding alone

AXES = "x right, y down, z forward"
NAMES = (("left", "right"), ("up", "down"), ("backward", "forward"))

# Of flow that is not rotation: its cosine with the direction in which known motion moves each pixel.
AGREES, DISAGREES = 0.3, -0.2
EXPLAINS = 0.6  # what another reading of the poses must reach to be named
CLEARLY = 0.4  # better than as they stand
ALIKE = 0.05  # readings as good as each other: on a straight road several are

# Of an estimated path beside the true one.
FITS = 0.01  # of the path: positions are as those of the truth, 7dof
STRAYS = 0.2  # of the way: a camera that moves by other axes, or by none
RIGHT, CLEARLY_RIGHT = (
    0.2,
    1 / 4,
)  # another reading may stray so far, and by that share of what the path strays
# Left-handed axes: the sign of the turns about x, y, z as they come then, of which two must show.
HANDS = {
    "x right, y up, z forward": (-1, 1, -1),
    "x left, y down, z forward": (1, -1, -1),
    "x right, y down, z backward": (-1, -1, 1),
}
LEAST_TURNS, SHOWS = 50, 0.4  # frames; correlation with the true turns
# Of flow off the lines along which known motion moves pixels: other hands are named from so much on, in pixels of 320,
# where they bring it down so far.
OFF_LINE, MORE_ON_LINE, LEAST_PAIRS = 0.25, 0.75, 2
SHIFTED = 0.6  # turns that fit the truth a frame beside so much better, and by at least so much, are of other numbers
LEAST_SHIFT = 0.01  # degrees
PIECES = 10  # of a path, whose ways are compared


def described(way: np.ndarray) -> str:
    """A way (3,) in the camera's axes, metres: `forward 0.70 right 0.02 down -0.01`."""
    unit = max(float(np.abs(way).max()), 1e-300)
    digits = max(2, 1 - math.floor(math.log10(unit)))
    right, down, forward = (0.0 if abs(v) < 0.5 * 10**-digits else float(v) for v in way)
    if digits > 6:
        return f"forward {forward:.3g} right {right:.3g} down {down:.3g}"
    return f"forward {forward:.{digits}f} right {right:.{digits}f} down {down:.{digits}f}"


def main_direction(way: np.ndarray) -> str:
    """Where a way (3,) in the camera's axes mostly goes: `forward`."""
    axis = int(np.argmax(np.abs(way)))
    return NAMES[axis][int(way[axis] > 0)]


def axes_of(A: np.ndarray) -> str:
    """The axes of coordinates A x (3, 3), a signed permutation, where x is right, down, forward: `x forward, …`"""
    return ", ".join(f"{name} {main_direction(row)}" for name, row in zip("xyz", A, strict=True))


def permutations() -> np.ndarray:
    """All ways to name a camera's axes, (48, 3, 3): first its own, then those people use, and left-handed ones last."""
    identity = np.eye(3)
    signs = [np.diag([a, b, c]) for a in (1.0, -1.0) for b in (1.0, -1.0) for c in (1.0, -1.0)]
    orders = ((0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0), (1, 0, 2))
    every = [sign @ identity[list(order)] for order in orders for sign in signs]
    known = [identity, np.diag([1.0, -1.0, -1.0]), FORWARD_LEFT_UP, FORWARD_RIGHT_DOWN]
    rest = [A for A in every if not any(np.array_equal(A, other) for other in known)]
    rest.sort(key=lambda A: np.linalg.det(A) < 0)
    return np.stack([*known, *rest])


FORWARD_LEFT_UP = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
FORWARD_RIGHT_DOWN = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])


# ---- the unit ------------------------------------------------------------------------------------------------


def check_moves(where: str, frames: tuple[int, int], largest: float) -> None:
    """Makes sure that the farthest way from a target to a source can be one.

    Args:
        where: whose poses.
        frames: target and source.
        largest: metres.

    Raises:
        UserError: it is so far that the unit is another, or a pose is wrong; or nothing moves; unless that is accepted.
    """
    between = f"known poses of {where}: between frames {frames[0]} and {frames[1]}"
    if largest > MOST_MOVE:
        impossible(
            "motion_unit",
            f"{between} the camera moves {largest:.3g} m, more than {MOST_MOVE:g}; write poses in metres, and take "
            "lines where the GPS jumps out of the list",
        )
    if largest < LEAST_MOVE:
        impossible(
            "motion_unit",
            f"{between}, and all others, the camera does not move ({largest:.3g} m); poses must be T_world_camera in "
            "metres",
        )


def check_steps(where: str, steps: np.ndarray) -> None:
    """Makes sure that a true path can be in metres.

    Args:
        steps: (N,) metres from each frame to the next.

    Raises:
        UserError: most are farther than any camera goes, unless that is accepted.
    """
    typical = float(np.median(steps)) if steps.size else 0.0
    if typical > MOST_MOVE:
        units = [f"{typical * metres:.3g} m a frame if they are in {unit}" for unit, metres in UNITS.items()]
        impossible(
            "motion_unit",
            f"{where}: the true camera moves {typical:.4g} m a frame, more than {MOST_MOVE:g}: not metres "
            f"({', '.join(units)}); write positions in metres",
        )


UNITS = {"millimetres": 1e-3, "centimetres": 1e-2}


def check_depth_of_flow(where: str, depth: float, metres: float) -> None:
    """Says where known motion and optical flow together put what is seen at a distance that no camera looks at.

    Args:
        depth: metres, the median of what is seen.
        metres: typical way from one frame to the next.
    """
    if not MEDIAN[0] <= depth <= MEDIAN[1]:
        like = "kilometres" if depth < MEDIAN[0] else "millimetres"
        unlikely(
            "motion_unit",
            f"{where}: by them the camera moves {metres:.3g} m, so that by the optical flow what it sees is "
            f"{depth:.3g} m away; are they in {like}? poses must be in metres",
        )


# ---- axes and direction --------------------------------------------------------------------------------------


def check_flow(where: str, way: np.ndarray, scores: Sequence[tuple[str, float]]) -> bool:
    """Says where known motion runs otherwise than the optical flow between the images; whether it runs along it.

    Args:
        where: whose poses.
        way: (3,) the typical way of the camera in a frame, in its own axes, metres.
        scores: readings of the poses, as they stand first, and the cosine of each, see `AGREES`, NaN where the camera
            stands by it; a reading is what to say of poses that are right when they are read so.
    """
    own, others = scores[0][1], [(reading, score) for reading, score in scores[1:] if not math.isnan(score)]
    stands = math.isnan(own)
    own = 0.0 if stands else own
    best = max((score for _, score in others), default=-1.0)
    explained = best >= EXPLAINS and best >= own + CLEARLY
    if own >= AGREES and not explained:
        return True
    direction = main_direction(way)
    moves = f"{where}: by them the camera moves {direction}"
    moves = f"{moves}{'s' if direction.endswith('ward') else ''}, {float(np.abs(way).max()):.2g} m a frame"
    if explained:
        like = [reading for reading, score in others if score >= best - ALIKE]
        unlikely(
            "motion_axes",
            f"{moves} ({described(way)}), but the images say otherwise (optical flow): they look like "
            f"{' or '.join(like[:3])}; write T_world_camera, {AXES}",
        )
    elif own <= DISAGREES:
        unlikely(
            "motion_axes",
            f"{moves} ({described(way)}), but the images say the opposite (optical flow); write T_world_camera, {AXES}",
        )
    elif direction != "forward" and not stands:
        unlikely(
            "motion_axes",
            f"{moves} ({described(way)}), and the images neither confirm nor deny it; poses must be T_world_camera, "
            f"{AXES}",
        )
    return False


def check_axes(where: str, beside: float, strays: float, reading: str | None) -> None:
    """Says where a path does not move along the axes of the true one.

    Args:
        where: whose path.
        beside: its root mean squared distance of the true positions after 7dof, as a share of the path.
        strays: how far its ways are from the true ones, as a share of the way, see `core.odometry.readings`.
        reading: as what it would fit, if any.
    """
    fits = beside < FITS
    if reading is None and not (fits and strays > STRAYS):
        return
    if fits:
        found = f"its positions fit the truth to {beside:.1%} of the path, but its camera moves by other axes"
    else:
        found = f"its ways are {strays:.0%} off the true ones"
    like = (
        f": it looks like {reading}" if reading else ": are the poses T_world_camera, and of the same camera?"
    )
    unlikely("motion_axes", f"{where}: {found}{like}; needed is T_world_camera, {AXES} (or the truth is so)")


def check_hand(where: str, correlations: np.ndarray) -> None:
    """Says where a path turns about two axes the other way round: on even roads nothing else shows it.

    Args:
        correlations: (3,) of turns about x, y, z from frame to frame with the true ones.
    """
    signs = np.where(np.abs(correlations) >= SHOWS, np.sign(correlations), 0)
    for axes, hand in HANDS.items():
        known = signs != 0
        if known.sum() >= 2 and (signs < 0).any() and (signs == hand)[known].all():
            unlikely(
                "motion_axes",
                f"{where}: turns about {' and '.join(np.array(list('xyz'))[signs < 0])} the other way round than the "
                f"truth: it looks like left-handed axes ({axes}); needed is T_world_camera, {AXES} (or the truth is "
                "so)",
            )
            return


def check_lines_of_flow(
    where: str, own: Sequence[float], others: Sequence[tuple[str, Sequence[float]]]
) -> None:
    """Says where the optical flow runs along the lines of known motion only if its axes are left-handed.

    Args:
        own: pixels of 320 off the lines, the median of each pair.
        others: readings of the poses, and the same.
    """
    if len(own) < LEAST_PAIRS or np.median(own) < OFF_LINE:
        return
    found = []
    for reading, off in others:
        better = np.array(off) / np.maximum(np.array(own), 1e-9)
        if np.median(better) < MORE_ON_LINE and better.max() <= 1.1:
            found.append((float(np.median(better)), reading))
    if found:
        unlikely(
            "motion_axes",
            f"{where}: the images turn otherwise than the camera by them (optical flow): they look like "
            f"{min(found)[1]}; write T_world_camera, {AXES}",
        )


def check_frame_numbers(where: str, own: float, earlier: float, later: float) -> None:
    """Says where a path turns as the truth does a frame before or after.

    Args:
        own: degrees, the mean difference of its turns, from frame to frame, from the true ones of its frames.
        earlier, later: the same from those a frame before and after.
    """
    best, way, cure = min((earlier, "earlier", "too high"), (later, "later", "too low"))
    if best < SHIFTED * own and own - best > LEAST_SHIFT:
        unlikely(
            "frame_numbers",
            f"{where}: turns as the truth does a frame {way} ({best:.3g} degrees off it, and {own:.3g} off its own "
            f"frames): its frame numbers look one {cure}; number path and truth alike, from 0 as KITTI does",
        )
