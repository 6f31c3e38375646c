"""Packets of KITTI raw's inertial unit: where they lie, and the pose in them (Geiger et al. 2013)."""

from pathlib import Path

import numpy as np

from core.errors import UserError
from core.faults import why_not_read
from core.files.regular import read_text

EARTH_RADIUS = 6378137.0  # metres, of KITTI's Mercator projection
PACKET_NUMBERS = 30  # KITTI's dataformat.txt; the pose is the first six, velocities and others follow
# Latitude (Mercator ends before the poles), longitude, degrees; altitude, metres; roll, pitch, yaw, radians.
PACKET_LIMITS = np.array([85, 180, np.inf, *[2 * np.pi] * 3])


def oxts_path(root: Path, folder: str, frame: int) -> Path:
    """A packet of the inertial unit of KITTI raw."""
    return root / folder / "oxts" / "data" / f"{frame:010d}.txt"


def read_packet(path: Path) -> np.ndarray:
    """Latitude, longitude (degrees), altitude (metres), roll, pitch, yaw (radians) of an oxts packet, float64 (6,).

    Raises:
        UserError: the packet is no text, has more or fewer numbers than KITTI's, or they cannot be a pose.
    """
    try:
        values = np.array([float(word) for word in read_text(path, "utf-8").split()])
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as an oxts packet: {why_not_read(error)}; copy it again"
        ) from None
    pose = values[:6]
    if len(values) != PACKET_NUMBERS or not (np.isfinite(pose) & (np.abs(pose) <= PACKET_LIMITS)).all():
        raise UserError(
            f"{path}: not an oxts packet: {PACKET_NUMBERS} numbers that begin with latitude, longitude (degrees), "
            "altitude, roll, pitch, yaw (radians); copy it again"
        )
    if not pose[:2].any():
        raise UserError(
            f"{path}: latitude and longitude are 0, the GPS had no fix; leave this drive out of the list"
        )
    return pose


def T_world_imu(packet: np.ndarray, scale: float) -> np.ndarray:  # noqa: N802 (a transform's name)
    """Pose (4, 4) of the inertial unit, x forward, y left, z up; the world is x east, y north, z up, in metres.

    By KITTI's convention (Geiger et al. 2013): Mercator's projection, R = Rz(yaw) Ry(pitch) Rx(roll).

    Args:
        packet: as `read_packet` gives it.
        scale: cosine of the latitude of the drive's first frame.
    """
    latitude, longitude = np.radians(packet[:2])
    (a, b, c), (s, p, q) = np.cos(packet[3:6]), np.sin(packet[3:6])
    x = np.array([[1, 0, 0], [0, a, -s], [0, s, a]])
    y = np.array([[b, 0, p], [0, 1, 0], [-p, 0, b]])
    z = np.array([[c, -q, 0], [q, c, 0], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3] = z @ y @ x
    T[:2, 3] = scale * EARTH_RADIUS * np.array([longitude, np.log(np.tan(np.pi / 4 + latitude / 2))])
    T[2, 3] = packet[2]
    return T
