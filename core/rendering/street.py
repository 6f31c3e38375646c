"""One drive: a street laid out from a seed, and the car that records it."""
# ruff: noqa: N802 - T_a_b is the field's name

from dataclasses import dataclass

import numpy as np

from core.rendering.atlas import Atlas
from core.rendering.ground import SIDE, Ground
from core.rendering.objects import Car, Painter
from core.rendering.path import CentreLine
from core.rendering.primitives import Primitive
from core.rendering.rig import Rig
from core.rendering.scene import Scene, joined, tables
from core.rendering.shadows import outline
from core.rendering.trajectory import RATE, Trajectory

Array = np.ndarray
BEHIND, AHEAD = 45.0, 190.0  # metres of street before the first and after the last position
LANE = -1.5  # d of the recording car, metres: it drives on the right


@dataclass
class MovingCar:
    """A car that keeps its lane. Positions along the street are start + speed · time."""

    car: Car
    start: float
    speed: float
    lane: float

    def parts(self, line: CentreLine, time: float) -> list[Primitive]:
        turn = np.pi if self.speed < 0 else 0.0
        T = line.frame(self.start + self.speed * time, self.lane, turn)
        return [part.moved(T) for part in self.car.parts]


class Plan:
    """Where the road goes and how the car drives: all that poses need. Cheap, unlike `Street`."""

    def __init__(self, seed: int, drive: int, frames: int) -> None:
        rng = np.random.default_rng([seed, drive, 0])
        self.seed, self.drive, self.frames = seed, drive, frames
        self.duration = frames / RATE
        speed = float(rng.uniform(6.0, 8.5))
        self.length = self.duration * speed * 1.15
        self.line = _line(rng, -BEHIND - 10, self.length + AHEAD + 60)
        self.half_width = float(rng.uniform(5.4, 6.4))
        # A stop in two drives out of three, never near the ends.
        stop = float(rng.uniform(0.35, 0.6)) * self.duration if drive % 3 != 0 and frames >= 40 else None
        phases = rng.uniform(0, 2 * np.pi, 6)
        self.trajectory = Trajectory(self.line, self.duration, speed, LANE, stop, phases)
        self.sun = _sun(rng)

    def T_world_rectified(self, frame: int, rig: Rig) -> Array:
        """Pose (4, 4) of rectified camera 0 at a frame."""
        return self.trajectory.T_world_vehicle(frame / RATE) @ rig.T_vehicle_rectified


class Street:
    """The street of a plan, built and painted."""

    def __init__(self, plan: Plan) -> None:
        rng = np.random.default_rng([plan.seed, plan.drive, 1])
        self.plan, self.line, self.sun = plan, plan.line, plan.sun
        self.ground = Ground(self.line, plan.half_width, -BEHIND, BEHIND + plan.length + AHEAD)
        self.atlas = Atlas()
        painter = Painter(rng, self.line, self.atlas)
        self.still = painter.street(plan.half_width, -BEHIND, plan.length + AHEAD)
        self.moving = self._traffic(rng, painter)
        shadows = [outline(solid, self.sun) for solid in self.still]
        contacts = [
            outline(solid, np.array([0, 0, 1.0])) for solid in self.still if solid.corners()[:, 2].min() < 1
        ]
        paved = self.ground.paint(rng, shadows, contacts)
        self.ground.texture = self.atlas.add(paved, self.ground.length, 2 * SIDE)
        self.ground.grain = painter.grain
        self.atlas.freeze()
        self._clouds = painter.clouds
        self._tables = tables(self.still)

    def _traffic(self, rng: np.random.Generator, painter: Painter) -> list[MovingCar]:
        cars, drive, trajectory = [], self.plan.drive, self.plan.trajectory
        if drive % 3 != 2:  # met half way
            speed = -float(rng.uniform(6, 9))
            when = self.plan.duration * rng.uniform(0.5, 0.8)
            cars.append(MovingCar(painter.car(), trajectory.distance(when) + 6 - speed * when, speed, -LANE))
        if drive % 3 == 1:  # ahead, and leaving
            cars.append(MovingCar(painter.car(), 14.0, trajectory.speed * 1.12, LANE))
        return cars

    def scene(self, frame: int) -> Scene:
        """What stands where at a frame."""
        moving = [part for car in self.moving for part in car.parts(self.line, frame / RATE)]
        primitives = [*self.still, *moving]
        shadows = [outline(part, self.sun) for part in moving]
        table, first, boxes = joined(self._tables, tables(moving)) if moving else self._tables
        return Scene(
            primitives, table, first, boxes, self.ground, self.atlas, self.sun, self._clouds, shadows
        )


def _line(rng: np.random.Generator, first: float, last: float) -> CentreLine:
    """Two bends of different length; slopes up to about 0.5, radii down to about 40 m."""
    lengths = np.array([rng.uniform(230, 300), rng.uniform(110, 150)])
    waves = 2 * np.pi / lengths
    slopes = np.array([rng.uniform(0.25, 0.4), rng.uniform(0.1, 0.28)])
    return CentreLine(slopes / waves, waves, rng.uniform(0, 2 * np.pi, 2), first, last)


def _sun(rng: np.random.Generator) -> Array:
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(38, 58))
    return np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
