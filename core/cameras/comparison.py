"""How far rays are from the true ones, and how steady they are."""

from dataclasses import dataclass

import numpy as np

from core.cameras.templates import angles_between

Array = np.ndarray


@dataclass(frozen=True)
class RayError:
    """Angles between rays and the true ones, in degrees, over all pixels that see something."""

    mean: float
    median: float
    percentile_95: float


def alignment(rays: Array, truth: Array, valid: Array | None = None) -> Array:
    """The orthogonal Q (3, 3), a reflection included, for which Q r is nearest to the truth (Kabsch 1976).

    Rays that are learnt from motion are known up to such a Q.

    Args:
        rays, truth: (3, H, W), of any length.
        valid: (H, W) bool, pixels that count; None: all.
    """
    first, second = (_selected(values, valid) for values in (rays, truth))
    U, _, V = np.linalg.svd(second @ first.T)
    return np.asarray(U @ V)


def ray_error(rays: Array, truth: Array, valid: Array | None = None, aligned: bool = True) -> RayError:
    """The angles between rays and truth (3, H, W), after an alignment unless it is not wanted."""
    first, second = (_selected(values, valid) for values in (rays, truth))
    if aligned:
        first = alignment(rays, truth, valid) @ first
    angles = np.degrees(angles_between(first, second))
    return RayError(float(angles.mean()), float(np.median(angles)), float(np.percentile(angles, 95)))


def ray_spread(frames: Array, valid: Array | None = None) -> float:
    """Mean angle in degrees between the rays of images (N, 3, H, W) of one camera and their mean direction."""
    units = np.stack([_selected(rays, valid) for rays in frames])
    middle = units.mean(0)
    middle /= np.maximum(np.linalg.norm(middle, axis=0), 1e-12)
    return float(np.degrees(np.mean([angles_between(unit, middle).mean() for unit in units])))


def _selected(rays: Array, valid: Array | None) -> Array:
    """(3, N) float64, of length 1."""
    rays = np.asarray(rays, np.float64)
    flat = rays.reshape(3, -1) if valid is None else rays[:, valid]
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=0), 1e-12))
