"""How the recording car moves, and the packets its inertial unit would have written."""
# ruff: noqa: N802 - T_a_b is the field's name

from dataclasses import dataclass, field

import numpy as np

from core.rendering.path import CentreLine
from core.rendering.rig import rigid, rotation

Array = np.ndarray
RATE = 10.0  # frames per second
EARTH = 6378137.0  # metres, the radius of KITTI's Mercator projection
LATITUDE, LONGITUDE, ALTITUDE = 49.011212, 8.422885, 112.83  # degrees, degrees, metres: the world's origin
STANDING = 0.6  # seconds at rest in a drive with a stop
_STEP = 0.005  # seconds of the speed table


@dataclass
class Trajectory:
    """Poses of the vehicle as a smooth function of time.

    Args:
        speed: cruising speed, m/s.
        lane: d of the vehicle, metres (right-hand traffic: negative).
        stop: time at which the car has come to rest, seconds, or None.
    """

    line: CentreLine
    duration: float
    speed: float
    lane: float
    stop: float | None
    phases: Array = field(default_factory=lambda: np.zeros(6))

    def __post_init__(self) -> None:
        self._time = np.arange(-1.0, self.duration + 1.0, _STEP)
        speed = self.speed * (1 + 0.12 * np.sin(0.5 * self._time + self.phases[0]))
        if self.stop is not None:
            # Brake and start again within about a second: few frames are near rest.
            away = np.maximum(np.abs(self._time - self.stop - STANDING / 2) - STANDING / 2, 0)
            speed = speed * (1 - np.exp(-((away / 0.8) ** 2)))
        s = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2 * _STEP)])
        self._s = s - np.interp(0, self._time, s)

    def distance(self, time: float) -> float:
        """Distance covered along the street since the first frame, metres."""
        return float(np.interp(time, self._time, self._s))

    def T_world_vehicle(self, time: float) -> Array:
        """Pose (4, 4) at a time in seconds. Bumps and sway follow the distance: a standing car is still."""
        s = self.distance(time)
        p = self.phases
        d = self.lane + 0.18 * np.sin(0.11 * s + p[1])
        drift = 0.18 * 0.11 * np.cos(0.11 * s + p[1])
        point, heading = self.line.points(np.array(s), np.array(d))
        roll = 0.004 * np.sin(0.45 * s + p[2])
        pitch = 0.005 * np.sin(0.6 * s + p[3]) + 0.003 * np.sin(1.7 * s + p[4])
        bounce = 0.012 * np.sin(0.8 * s + p[5])
        return rigid(rotation(roll, pitch, float(heading) + np.arctan(drift)), np.array([*point, bounce]))


def packet(trajectory: Trajectory, time: float, T_vehicle_imu: Array) -> list[float]:
    """The 30 values of KITTI's oxts format: position, attitude, velocities, accelerations, rates, state."""
    h = 0.05
    before, T, after = (trajectory.T_world_vehicle(time + dt) @ T_vehicle_imu for dt in (-h, 0.0, h))
    R, p = T[:3, :3], T[:3, 3]
    velocity = (after[:3, 3] - before[:3, 3]) / (2 * h)
    acceleration = (after[:3, 3] - 2 * p + before[:3, 3]) / h**2 + [0, 0, 9.81]
    spin = before[:3, :3].T @ after[:3, :3]
    rates = (
        np.array([spin[2, 1] - spin[1, 2], spin[0, 2] - spin[2, 0], spin[1, 0] - spin[0, 1]]) / 2 / (2 * h)
    )
    scale = np.cos(np.radians(LATITUDE))
    longitude = LONGITUDE + np.degrees(p[0] / (scale * EARTH))
    northing = np.log(np.tan(np.pi / 4 + np.radians(LATITUDE) / 2)) + p[1] / (scale * EARTH)
    latitude = np.degrees(2 * np.arctan(np.exp(northing)) - np.pi / 2)
    attitude = [np.arctan2(R[2, 1], R[2, 2]), -np.arcsin(R[2, 0]), np.arctan2(R[1, 0], R[0, 0])]
    # Along the heading, but level: forward, left, up.
    level = rotation(0, 0, float(attitude[2]))
    v, a, w = level.T @ velocity, level.T @ acceleration, level.T @ R @ rates
    return [
        float(x)
        for x in (
            latitude, longitude, ALTITUDE + p[2], *attitude, velocity[1], velocity[0], *v,
            *(R.T @ acceleration), *a, *rates, *w, 0.05, 0.02, 4, 11, 6, 6, 6,
        )
    ]  # fmt: skip


DATA_FORMAT = """\
lat:     latitude of the oxts-unit (deg)
lon:     longitude of the oxts-unit (deg)
alt:     altitude of the oxts-unit (m)
roll:    roll angle (rad),  0 = level, positive = left side up
pitch:   pitch angle (rad), 0 = level, positive = front down
yaw:     heading (rad),     0 = east,  positive = counter clockwise
vn:      velocity towards north (m/s)
ve:      velocity towards east (m/s)
vf:      forward velocity, parallel to earth-surface (m/s)
vl:      leftward velocity, parallel to earth-surface (m/s)
vu:      upward velocity, perpendicular to earth-surface (m/s)
ax:      acceleration in x, in direction of vehicle front (m/s^2)
ay:      acceleration in y, in direction of vehicle left (m/s^2)
az:      acceleration in z, in direction of vehicle top (m/s^2)
af:      forward acceleration (m/s^2)
al:      leftward acceleration (m/s^2)
au:      upward acceleration (m/s^2)
wx:      angular rate around x (rad/s)
wy:      angular rate around y (rad/s)
wz:      angular rate around z (rad/s)
wf:      angular rate around forward axis (rad/s)
wl:      angular rate around leftward axis (rad/s)
wu:      angular rate around upward axis (rad/s)
posacc:  position accuracy (m)
velacc:  velocity accuracy (m/s)
navstat: navigation status
numsats: number of satellites tracked by primary GPS receiver
posmode: position mode of primary GPS receiver
velmode: velocity mode of primary GPS receiver
orimode: orientation mode of primary GPS receiver
"""
