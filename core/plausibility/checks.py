"""The checks by name, and what becomes of what they find: an error, a warning, or nothing where it is accepted.

What a command accepts holds for its whole process; `core.options.parsing` says it once, when the options are known.
Imports no NumPy, for the options name the checks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.errors import UserError, say

# By name: what is looked at.
CHECKS = {
    "scan_layout": "a scan's points are x, y, z in metres and a reflectance from 0 to 1, x forward, z up",
    "scan_turned": "a scan's edges lie on those of the image: it is not turned about z, nor mirrored",
    "scan_range": "a scan's farthest points lie between 2 and 200 m",
    "truth_unit": "true depth is in metres: its median lies between 0.05 and 200 m",
    "truth_unknown": "no one number stands for unknown depth: few pixels have the same depth",
    "truth_shape": "truth and images have one shape",
    "truth_order": "files of depth are called by the numbers of their lines, or by none of them",
    "few_pixels": "at least 100 pixels an image are compared",
    "camera_centre": "the principal point lies between 0.35 and 0.65 of the image",
    "camera_pixels": "pixels are square, or the stored images were stretched a little",
    "baseline": "the cameras of a stereo pair are between 1 mm and 10 m apart",
    "stereo_sides": "the left image of a stereo pair is that of the left camera",
    "stereo_rows": "the images of a stereo pair are of one moment and rectified: things lie in the same rows",
    "calibration": "rotations of a calibration are rotations, and focal lengths above 0",
    "kitti_rig": "a calibration in KITTI's tree is KITTI's, and of its own sequence",
    "frame_numbers": "a path's frames have the numbers of the truth's",
    "list_lines": "lists of validation and test have each image once",
    "validation_overlap": "no validation line is trained on",
    "test_overlap": "no test image is trained on, and none beside one",
    "depth_direction": "predicted and true depth grow in the same direction",
    "truth_reading": "the truth is that of its line, not mirrored, nor a logarithm, as far as predictions show it",
    "depth_factor": "predicted metres are not off by one factor in all images",
    "coarse_steps": "a 16-bit picture of depth is right to a thousandth",
    "motion_unit": "known and true motion is in metres: 0.1 mm to 50 m between frames, past what is 0.05 to 200 m away",
    "motion_axes": "poses are T_world_camera, x right, y down, z forward, as images or the truth say",
    "sequence_shapes": "the images of a sequence have one shape",
    "weight_values": "tensors of weights are floating-point numbers, finite, and variances are not negative",
    "imagenet_classifier": "ImageNet's weights have their classifier",
    "one_depth": "a network predicts more than one depth for all pixels",
}


@dataclass(frozen=True)
class Finding:
    """Something that data cannot be, or hardly are.

    Attributes:
        check: one of `CHECKS`.
        message: one line: file, value, what it looks like instead, and the cure.
        impossible: an error unless it is accepted; otherwise a warning.
        accepted: the user takes it as it is.
    """

    check: str
    message: str
    impossible: bool
    accepted: bool


@dataclass
class Findings:
    """What the checks of a command found.

    Attributes:
        accepted: the checks whose findings are taken as they are.
        offered: the command has `--accept`.
        collects: nothing ends the command; whoever asked for the findings shows them.
        found: each once.
    """

    accepted: frozenset[str] = frozenset()
    offered: bool = False
    collects: bool = False
    found: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> bool:
        """Keeps it; whether it is new."""
        new = finding not in self.found
        if new:
            self.found.append(finding)
        return new


_current = Findings()


def check_names() -> tuple[str, ...]:
    """The names that `--accept` takes."""
    return tuple(CHECKS)


def begin(accepted: Sequence[str] | None = None, offered: bool = True) -> Findings:
    """Begins a command: nothing is found yet.

    Args:
        accepted: names of checks.
        offered: the command has `--accept`, which messages then name.
    """
    global _current
    _current = Findings(frozenset(accepted or ()), offered)
    return _current


@contextmanager
def collecting() -> Iterator[Findings]:
    """Meanwhile findings are kept, and neither end the command nor are printed."""
    global _current
    before, _current = _current, Findings(_current.accepted, _current.offered, collects=True)
    try:
        yield _current
    finally:
        _current = before


def accepted() -> list[str]:
    """What the command accepts, by name."""
    return sorted(_current.accepted)


def warnings() -> list[str]:
    """What was found and ended nothing, a line each."""
    return [finding.message for finding in _current.found]


def impossible(check: str, message: str) -> None:
    """What data cannot be.

    Args:
        check: one of `CHECKS`.
        message: see `Finding`.

    Raises:
        UserError: unless it is accepted, which is said once for each check.
    """
    finding = Finding(check, message, True, check in _current.accepted)
    if not finding.accepted and not _current.collects:
        raise UserError(message + (f"; or --accept {check}" if _current.offered else ""))
    said = any(other.check == check and other.accepted for other in _current.found)
    if _current.add(finding) and not _current.collects and not said:
        say(f"accepted ({check}): {message}")


def unlikely(check: str, message: str, once: bool = False) -> None:
    """What data hardly are: a warning, printed once; not where it is accepted.

    Args:
        once: of one file of many that are alike: only the first of this check is printed, and all are kept.
    """
    finding = Finding(check, message, False, check in _current.accepted)
    said = once and any(other.check == check for other in _current.found)
    if _current.add(finding) and not (said or finding.accepted or _current.collects):
        say(f"warning: {message}" + (f" (--accept {check})" if _current.offered else ""))
