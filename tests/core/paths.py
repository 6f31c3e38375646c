"""Paths of a camera for tests, exactly rigid (`core.geometry.rigid` shortens the angle by 1e-7, as published)."""

import numpy as np

from core.odometry.trajectories import chain


def exactly_rigid(axis_angle: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """T (…, 4, 4) of axis-angle and translation (…, 3), by Rodrigues' formula without its division by the angle."""
    x, y, z = np.moveaxis(np.asarray(axis_angle, np.float64), -1, 0)
    cross = np.stack([x * 0, -z, y, z, x * 0, -x, -y, x, x * 0], axis=-1).reshape(*x.shape, 3, 3)
    angle = np.sqrt(x * x + y * y + z * z)[..., None, None]
    T = np.zeros((*x.shape, 4, 4))
    T[..., :3, :3] = np.eye(3) + np.sinc(angle / np.pi) * cross
    T[..., :3, :3] += np.sinc(angle / (2 * np.pi)) ** 2 / 2 * cross @ cross  # (1 - cos a) / a²
    T[..., :3, 3] = translation
    T[..., 3, 3] = 1
    return T


def drive(frames: int, seed: int = 0, step: float = 1.0) -> np.ndarray:
    """T_world_camera (N, 4, 4) of a drive that winds and climbs, about `step` metres a frame."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.normal(0, 0.003, (frames - 1, 3)) * np.array([0.1, 1, 0.1]), axis=0)
    moves = rng.normal(0, 0.02, (frames - 1, 3)) + np.array([0, 0, -step])
    return chain(exactly_rigid(turns, moves))


def straight(frames: int, step: float, yaw: float = 0.0) -> np.ndarray:
    """T_world_camera of driving `step` metres a frame and turning by `yaw` radians a frame."""
    turns, moves = np.tile([0.0, -yaw, 0.0], (frames - 1, 1)), np.tile([0.0, 0.0, -step], (frames - 1, 1))
    return chain(exactly_rigid(turns, moves))
