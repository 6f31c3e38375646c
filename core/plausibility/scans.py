"""A laser scan as KITTI has it: x, y, z in metres, x forward and z up, and a reflectance."""

import math
from pathlib import Path

import numpy as np

from core.plausibility.checks import impossible, unlikely

REFLECTANCE = 0.0, 1.0  # of the light; KITTI's sensor and its format have nothing else
SLACK = 0.01
MOST_RANGE = 200.0  # metres; KITTI's scanner reaches 120
LEAST_RANGE = 2.0  # metres to the farthest point: a scanner that sees no farther stands in a cupboard
FAR_SHARE = 0.01  # of the points; fewer are stray echoes
FEW = 50  # points say nothing of a layout
FLATNESS = 3.0  # a street is wider than high: z spreads less than x and y, never that much more
GROUND = 0.5  # metres above and below a scanner: a street is below it
MOST_ABOVE, LEAST_BELOW = 0.5, 0.05  # share of the points, of KITTI 0.02 and 0.63
AT_GROUND = 0.3  # metres about the scanner's own height, where no ground can be
MOST_AT_GROUND, LEAST_ABOVE = 0.2, 0.25  # share of the points there, and above `GROUND`
ROOM = 3.0  # metres that z may spread: before a wall of a room a narrow scanner sees no depth
# A scan in angles: a column from 0 on, one of full turns, of which each twelfth has points, and one of heights.
TURNS = {"radians": 2 * math.pi, "degrees": 360.0}
SECTORS, LEAST_IN_SECTOR, FULL, ROUNDED = 12, 0.02, 0.95, 1e-6
# Where edges of depth lie, edges of the image are stronger than elsewhere: by 2 to 2.5 on real streets, by 1 ± 0.3
# where the scan is turned by some degrees.
ON_EDGES, CLEARLY_ON_EDGES, BETTER_TURNED = 1.3, 1.6, 1.4
LEAST_EDGES = 60
# Of `_least_spread`: a number of columns that has so much less of it is the right one; so alike are its multiples.
MIXED, LIKE = 0.5, 1.1
# Columns of a point in the formats that there are, and what the columns are.
LAYOUTS = {
    3: "three columns (x, y, z): add a fourth, 0",
    5: "five columns (x, y, z, reflectance, and a ring or time): keep the first four",
    6: "six columns: keep x, y, z and the reflectance",
    7: "seven columns: keep x, y, z and the reflectance",
    8: "eight columns: keep x, y, z and the reflectance",
}
TEXTS = {b"# .PCD": "a .pcd file", b"VERSION": "a .pcd file", b"ply": "a .ply file", b"LASF": "a .las file"}
NEEDED = "needed are x, y, z and reflectance as float32"


def other_layout(content: bytes | bytearray) -> str | None:
    """What the bytes of a scan look like instead of four float32 a point; None if like nothing else."""
    for beginning, name in TEXTS.items():
        if content[: len(beginning)] == beginning:
            return f"looks like {name}; {NEEDED}"
    flat = np.frombuffer(content, "<f4", len(content) // 4)
    for numbers, words in (("<f8", "64-bit numbers"), (">f4", "big-endian numbers")):
        if _are_usual(flat):
            break
        size = np.dtype(numbers).itemsize
        values = np.frombuffer(content, numbers, len(content) // size)
        points = values[: values.size // 4 * 4].reshape(-1, 4)
        if len(points) >= FEW and _are_points(points):
            return f"looks like {words}; {NEEDED}"
    if flat.size < 4 * FEW or not np.isfinite(flat).all():
        return None
    spread = {columns: _least_spread(flat, columns) for columns in (4, *LAYOUTS)}
    least = min(spread.values())
    # A multiple of the right number separates the columns as well.
    best = min(columns for columns, value in spread.items() if value <= LIKE * least)
    if best == 4 or spread[best] > MIXED * spread[4]:
        return None
    return f"looks like {LAYOUTS[best]}"


def check_scan(path: Path, scan: np.ndarray, content: bytes | bytearray) -> None:
    """Makes sure that a scan can be one.

    Args:
        scan: (N, 4) float32, x forward, y left, z up, metres, reflectance.
        content: the bytes that it was made of.

    Raises:
        UserError: it is of another layout or unit, unless that is accepted.
    """
    known = scan[np.isfinite(scan).all(axis=1)]
    if len(known) < FEW:
        if len(scan) >= FEW:
            like = other_layout(content) or f"no scan; {NEEDED}"
            impossible(
                "scan_layout",
                f"{path}: {len(scan) - len(known)} of {len(scan)} points are not finite: {like}",
            )
        return
    low, high = float(known[:, 3].min()), float(known[:, 3].max())
    if low < REFLECTANCE[0] - SLACK or high > REFLECTANCE[1] + SLACK:
        found = other_layout(content)
        if found is None and low >= 0 and high <= 65535:
            found = f"divide it by {255 if high <= 255 else 65535}"
        impossible(
            "scan_layout",
            f"{path}: the fourth number of a point must be a reflectance (KITTI: 0 to 1), here it is {low:.4g} to "
            f"{high:.4g}: {found or NEEDED}",
        )
    elif _check_angles(path, known):
        _check_axes(path, known, content)
    _check_range(path, known, content)


def lies_on_edges(score: float) -> bool:
    """Whether edges of depth lie on those of the image; see `check_turned`."""
    return score >= ON_EDGES


def check_turned(where: Path | str, own: float, best: float, turn: int, mirrored: bool, scans: int) -> None:
    """Says where scans fit their images when they are turned, and only then.

    Args:
        own: how much stronger edges of the image are at edges of the scans' depth than elsewhere.
        best: the same of the scans turned.
        turn: so many degrees about z, to the left.
        mirrored: y exchanged before that.
        scans: that were looked at.
    """
    if not lies_on_edges(own) and best >= max(CLEARLY_ON_EDGES, BETTER_TURNED * own):
        words = "mirrored (y right)" if mirrored else "", f"turned by {-turn}° about z" if turn else ""
        unlikely(
            "scan_turned",
            f"{where}: the scans look {' and '.join(filter(None, words))}: turned back, their edges of depth lie on "
            f"those of the images ({best:.1f} times as strong there as elsewhere, {own:.1f} as they stand, {scans} "
            "scans); x must be forward, y left, z up, and the calibration that of this scanner",
        )


def _check_angles(path: Path, points: np.ndarray) -> bool:
    """Makes sure that points are not in distance and angles; whether they are not."""
    ranges, around, up = (points[:, column].astype(np.float64) for column in range(3))
    for unit, turn in TURNS.items():
        low = float(around.min())
        start = 0.0 if low >= 0 else -turn / 2
        slack = ROUNDED * turn
        inside = (
            start - slack <= low and around.max() <= start + turn + slack and np.abs(up).max() <= turn / 4
        )
        full = np.ptp(around) > FULL * turn and ranges.max() > np.abs(up).max()
        if not (inside and full and ranges.min() >= 0):
            continue
        shares = np.histogram(around, SECTORS, (start - slack, start + turn + slack))[0] / len(around)
        if shares.min() > LEAST_IN_SECTOR:
            impossible(
                "scan_layout",
                f"{path}: looks like distance and angles in {unit} (to {ranges.max():.3g} m, {low:.3g} to "
                f"{around.max():.3g}, {up.min():.3g} to {up.max():.3g}); {NEEDED}",
            )
            return False
    return True


def _check_axes(path: Path, points: np.ndarray, content: bytes | bytearray) -> None:
    x, y, z = (float(value) for value in points[:, :3].std(axis=0, dtype=np.float64))
    if z > max(FLATNESS * min(x, y), ROOM) and min(x, y) > 0:
        found = other_layout(content) or "looks like a camera's axes; x must be forward, y left, z up"
        impossible(
            "scan_layout",
            f"{path}: its points spread {z:.3g} m in z, which is up, and {x:.3g} and {y:.3g} m in x and y: {found}",
        )
        return
    above, below = (
        np.count_nonzero(side) / len(points) for side in (points[:, 2] > GROUND, points[:, 2] < -GROUND)
    )
    if above > MOST_ABOVE and below < LEAST_BELOW:
        unlikely(
            "scan_layout",
            f"{path}: {above:.0%} of its points lie more than {GROUND:g} m above the scanner, {below:.0%} below: "
            "does its z point down? or is it counted from the ground? x must be forward, y left, z up",
            once=True,
        )
    elif below < LEAST_BELOW and above > LEAST_ABOVE:
        beside = np.count_nonzero(np.abs(points[:, 2]) < AT_GROUND) / len(points)
        if beside > MOST_AT_GROUND:
            unlikely(
                "scan_layout",
                f"{path}: {beside:.0%} of its points lie at the scanner's own height, {above:.0%} more than {GROUND:g} "
                f"m above and {below:.0%} below: is z counted from the ground? it must be from the scanner",
                once=True,
            )


def _check_range(path: Path, points: np.ndarray, content: bytes | bytearray) -> None:
    ranges = np.sqrt(np.einsum("ij,ij->i", points[:, :3], points[:, :3], dtype=np.float64))
    farthest, far = float(ranges.max()), int((ranges > MOST_RANGE).sum())
    if far > FAR_SHARE * len(points):
        units = [
            f"{name} ({farthest * metres:.3g} m)"
            for name, metres in (("millimetres", 1e-3), ("centimetres", 1e-2))
            if LEAST_RANGE <= farthest * metres <= MOST_RANGE
        ]
        found = f"looks like {' or '.join(units)}; write metres" if units else other_layout(content) or NEEDED
        impossible(
            "scan_range", f"{path}: its points are up to {farthest:.4g} m away (a scanner sees 200): {found}"
        )
    elif far:
        unlikely(
            "scan_range",
            f"{path}: {far} of {len(points)} points are farther than 200 m, up to {farthest:.4g} m",
            once=True,
        )
    elif farthest < LEAST_RANGE:
        impossible(
            "scan_range",
            f"{path}: its farthest point is {farthest:.3g} m away: looks like kilometres, or lengths divided by their "
            "greatest; write metres",
        )


def _are_usual(numbers: np.ndarray) -> bool:
    """Whether float32 are no pieces of other numbers, of which many are huge or all but 0."""
    sizes = np.abs(numbers[np.isfinite(numbers)])
    strange = np.count_nonzero((sizes > 1e9) | ((sizes > 0) & (sizes < 1e-9))) + numbers.size - sizes.size
    return bool(strange < FAR_SHARE * numbers.size)


def _are_points(points: np.ndarray) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        if not np.isfinite(points).all() or np.abs(points[:, :3]).max() > MOST_RANGE:
            return False
        inside = points[:, 3].min() >= REFLECTANCE[0] and points[:, 3].max() <= REFLECTANCE[1]
        return bool(inside and np.abs(points[:, :3]).max() > LEAST_RANGE)


def _least_spread(flat: np.ndarray, columns: int) -> float:
    """How little the columns have of one another, at this many: of a wrong number each holds a bit of all.

    Of the standard deviations of the columns the least, as a share of that of all numbers.
    """
    table = flat[: flat.size // columns * columns].reshape(-1, columns)
    with np.errstate(invalid="ignore", over="ignore"):
        deviations, whole = table.std(axis=0, dtype=np.float64), float(flat.std(dtype=np.float64))
    return float(deviations.min()) / whole if whole > 0 else 1.0
