"""Pictures, exact depth and exact range of a scene."""

from typing import NamedTuple

import numpy as np

from core.rendering.scene import Scene
from core.rendering.shading import shade
from core.rendering.views import PinholeView, View

Array = np.ndarray
UNKNOWN_BEYOND = 250.0  # metres; 16 bits of 1/256 m end at 255.99


class Picture(NamedTuple):
    """What a camera sees.

    Attributes:
        image: (H, W, 3) uint8 RGB, black where the camera has no ray.
        depth: (H, W) float32, metres along the camera's z at pixel centres; 0: sky, no ray, or not in front.
        range: (H, W) float32, metres along the pixel's ray; 0: sky, or no ray.
    """

    image: Array
    depth: Array
    range: Array


def render(
    scene: Scene, T_world_camera: Array, K: Array, height: int, width: int, samples: int
) -> tuple[Array, Array]:
    """Renders the view of a pinhole.

    Args:
        T_world_camera: (4, 4). K: (3, 3), pixel centres at integers.
        samples: samples along each axis of pixels in which something ends.

    Returns:
        (H, W, 3) uint8 RGB and camera-z depth (H, W) float32, metres at pixel centres, 0 = sky.
    """
    return render_view(scene, PinholeView(T_world_camera, K, height, width), samples)[:2]


def render_view(scene: Scene, view: View, samples: int) -> Picture:
    """Renders what a camera sees, see `core.rendering.views.look`.

    Args:
        samples: samples along each axis of pixels in which something ends.
    """
    height, width = view.valid.shape
    rays = view.rays()
    t, face = scene.trace(view.origin, rays.reshape(height, width, 3), view.dense())
    colour = shade(scene, view.origin, rays, t.ravel(), face.ravel(), view.steps())
    edge = np.flatnonzero((_edges(face) & view.valid).ravel())
    if len(edge) and samples > 1:
        inside = (np.arange(samples) + 0.5) / samples - 0.5
        du, dv = (a.ravel() for a in np.meshgrid(inside, inside))
        many = view.samples(edge, du, dv)
        found, which = scene.trace(view.origin, many, view.sparse(edge, many))
        steps = view.steps(edge)
        steps = steps if steps.ndim == 2 else np.repeat(steps, samples**2, axis=1)
        fine = shade(scene, view.origin, many.reshape(-1, 3), found.ravel(), which.ravel(), steps)
        colour[edge] = fine.reshape(len(edge), -1, 3).mean(1)
    image = np.clip(np.rint(colour), 0, 255).astype(np.uint8).reshape(height, width, 3)
    image[~view.valid] = 0
    known = (t < UNKNOWN_BEYOND) & view.valid
    depth, far = (np.where(known, distance, np.float32(0)) for distance in view.distances(t))
    return Picture(image, depth, far)


def _edges(face: Array) -> Array:
    edge = np.zeros(face.shape, bool)
    for axis in (0, 1):
        a = [slice(None), slice(None)]
        b = [slice(None), slice(None)]
        a[axis], b[axis] = slice(1, None), slice(None, -1)
        differs = face[tuple(a)] != face[tuple(b)]
        edge[tuple(a)] |= differs
        edge[tuple(b)] |= differs
    return edge
