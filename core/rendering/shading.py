"""The colour of a hit: texture, sun, sky light, haze. It depends on the place only, never on the viewer."""

import numpy as np

from core.rendering.ground import KERB_FACE, SIDE
from core.rendering.primitives import dot
from core.rendering.scene import BALL, PLANE, SKY, TUBE, Scene
from core.rendering.shadows import DEPTH, soft_inside

Array = np.ndarray
AMBIENT, SUN = 0.66, 0.66
HAZE = np.array([206, 214, 222], np.float32)
ZENITH = np.array([96, 142, 204], np.float32)
HAZE_LENGTH = 700.0  # metres
SOFTNESS = 1.0  # pixels of a texture filter; band-limits pictures enough to be sampled bilinearly


def shade(scene: Scene, origin: Array, rays: Array, t: Array, face: Array, steps: Array) -> Array:
    """Colours (N, 3) float32, 0..255.

    Args:
        rays: (N, 3) directions. t: (N,) ray parameters. face: (N,) face numbers.
        steps: change of a ray per pixel to the right, and down: (2, 3) of all, or (2, N, 3) of each.
    """
    colour = np.zeros((len(t), 3), np.float32)
    kind = np.full(len(t), -1)
    solid = face >= 3
    kind[solid] = scene.faces.kind[face[solid] - 3]
    for members, shader in (
        (face == SKY, _sky), ((face >= 0) & ~solid, _ground), (kind == PLANE, _plane), (kind == BALL, _ball),
        (kind == TUBE, _tube),
    ):  # fmt: skip
        where = np.flatnonzero(members)
        if len(where):
            own = steps if steps.ndim == 2 else steps[:, where]
            colour[where] = shader(scene, origin, rays[where], t[where], face[where], own)
    hit = np.flatnonzero(face != SKY)
    clear = np.exp(-t[hit] * np.linalg.norm(rays[hit], axis=1) / HAZE_LENGTH)[:, None]
    colour[hit] = colour[hit] * clear + HAZE * (1 - clear)
    return colour


def _sky(scene: Scene, origin: Array, rays: Array, t: Array, face: Array, steps: Array) -> Array:
    ray = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    up = np.clip(ray[:, 2], 0, 1)
    height = np.sqrt(up)[:, None]
    blue = HAZE * (1 - height) + ZENITH * height
    # Clouds on a dome, fading into the haze of the horizon.
    u, v = (ray[:, k] / (up + 0.25) * 4 for k in (0, 1))
    step = _length(steps[0]) / (up + 0.25) ** 2 * 4
    cover = scene.atlas.sample(np.full(len(ray), scene.clouds), u, v, step, step)[:, :1] / 255
    cover *= np.clip(up * 5, 0, 1)[:, None]
    return blue * (1 - 0.75 * cover) + 246 * 0.75 * cover


def _footprint(t: Array, rays: Array, normal: Array, steps: Array) -> tuple[Array, Array]:
    """World vectors (N, 3) on a surface that a pixel to the right, and down, moves the hit by."""
    slope = (rays * normal).sum(-1, keepdims=True)
    slope = np.where(np.abs(slope) < 1e-4, 1e-4, slope)
    moves = [
        t[:, None] * SOFTNESS * (step - rays * ((normal * step).sum(-1, keepdims=True) / slope))
        for step in steps
    ]
    return moves[0], moves[1]


def _length(step: Array) -> Array:
    """Of a step (3,), or of each (N, 3)."""
    return np.asarray(np.linalg.norm(step, axis=None if step.ndim == 1 else -1))


def _sideways(step: Array, members: Array) -> Array:
    """What a step to the right moves along the ground: of one (3,), or of members (N,) of many (N, 3)."""
    return np.asarray(step[:2].max() if step.ndim == 1 else np.abs(step[members, :2]).max(-1))


def _extent(moves: tuple[Array, Array], axis: Array) -> Array:
    return np.hypot((moves[0] * axis).sum(-1), (moves[1] * axis).sum(-1))


def _ground(scene: Scene, origin: Array, rays: Array, t: Array, face: Array, steps: Array) -> Array:
    ground = scene.ground
    points = origin + t[:, None] * rays.astype(float)
    s, d, heading = ground.line.coordinates(points[:, :2])
    along = np.stack([np.cos(heading), np.sin(heading), np.zeros_like(heading)], -1)
    left = np.stack([-along[:, 1], along[:, 0], along[:, 2]], -1)
    moves = _footprint(t, rays, np.array([0, 0, 1], np.float32), steps)
    step_s, step_d = _extent(moves, along), _extent(moves, left)
    kerb = face == KERB_FACE
    side = np.sign(d)
    # Beyond the painted strip the gardens continue mirrored; a kerb wears the colour of its upper side.
    first = ground.half_width + 3.0
    fold = np.mod(np.abs(d) - first, 2 * (SIDE - first))
    far = side * (first + np.minimum(fold, 2 * (SIDE - first) - fold))
    d = np.where(kerb, side * (ground.half_width + 0.1), np.where(np.abs(d) > first, far, d))
    step_s[kerb], step_d[kerb] = t[kerb] * _sideways(steps[0], kerb), 0.03
    count = len(t)
    colour = scene.atlas.sample(np.full(count, ground.texture), s - ground.first, SIDE - d, step_s, step_d)
    fine = scene.atlas.sample(np.full(count, ground.grain), s + 1000, d + 1000, step_s, step_d)
    colour *= fine / 128
    colour[kerb] *= 0.72
    light = np.full(count, AMBIENT + SUN * scene.sun[2])
    for polygon in scene.moving_shadows:
        low, high = polygon.min(0) - 1, polygon.max(0) + 1
        near = np.flatnonzero(((points[:, :2] > low) & (points[:, :2] < high)).all(1))
        if len(near):
            light[near] *= 1 - DEPTH * soft_inside(points[near, :2], polygon, 0.16)
    return colour * light[:, None].astype(np.float32)


def _light(normal: Array, sun: Array, z: Array) -> Array:
    """(N, 1): sky light, brighter from above, the sun, and less of both close to the ground."""
    lit = AMBIENT * (0.88 + 0.12 * normal[:, 2]) + SUN * np.clip(dot(sun[None], normal)[0], 0, 1)
    return (lit * (0.72 + 0.28 * np.clip(z / 0.6, 0, 1)))[:, None].astype(np.float32)


def _plane(scene: Scene, origin: Array, rays: Array, t: Array, face: Array, steps: Array) -> Array:
    row = face - 3
    table = scene.faces
    points = origin.astype(np.float32) + t[:, None] * rays
    local = points - table.origin[row]
    across, down, normal = table.across[row], table.down[row], table.normal[row]
    moves = _footprint(t, rays, normal, steps)
    colour = scene.atlas.sample(
        table.texture[row], (local * across).sum(1), (local * down).sum(1),
        _extent(moves, across), _extent(moves, down),
    )  # fmt: skip
    return colour * table.tint[row] * _light(normal, scene.sun, points[:, 2])


def _ball(scene: Scene, origin: Array, rays: Array, t: Array, face: Array, steps: Array) -> Array:
    row = face - 3
    table = scene.faces
    points = origin.astype(np.float32) + t[:, None] * rays
    local = points - table.origin[row]
    normal = local / table.across[row] ** 2
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    weight = np.abs(normal) ** 6
    weight /= weight.sum(1, keepdims=True)
    slant = np.maximum(-(rays * normal).sum(1), 0.35)
    step = t * _length(steps[0]) / slant
    colour = np.zeros((len(t), 3), np.float32)
    for k, (a, b) in enumerate(((1, 2), (0, 2), (0, 1))):
        used = np.flatnonzero(weight[:, k] > 0.01)
        if len(used):
            part = scene.atlas.sample(
                table.texture[row[used]],
                points[used, a] + 1000,
                points[used, b] + 1000,
                step[used],
                step[used],
            )
            colour[used] += weight[used, k : k + 1] * part
    shade_below = 0.75 + 0.25 * normal[:, 2:]
    return colour * table.tint[row] * _light(normal, scene.sun, points[:, 2]) * shade_below


def _tube(scene: Scene, origin: Array, rays: Array, t: Array, face: Array, steps: Array) -> Array:
    row = face - 3
    table = scene.faces
    points = origin.astype(np.float32) + t[:, None] * rays
    local = points - table.origin[row]
    radius = table.across[row, 0]
    normal = np.c_[local[:, :2] / radius[:, None], np.zeros(len(t), np.float32)].astype(np.float32)
    # Mirrored at angle 0 and at π: no seam.
    u = np.abs(np.arctan2(normal[:, 1], normal[:, 0])) * radius
    step = t * _length(steps[0])
    slant = np.maximum(-(rays * normal).sum(1), 0.25)
    colour = scene.atlas.sample(table.texture[row], u, local[:, 2] + 1000, step / slant, step)
    return colour * table.tint[row] * _light(normal, scene.sun, points[:, 2])
