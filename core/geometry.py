"""Cameras and rigid motion in NumPy: the oracle of the backends' geometry, under the same names.

Camera coordinates are x right, y down, z forward. Pixel centres are at integers. `T_a_b` maps points of b
to a: `p_a = T_a_b @ p_b`. Every function keeps the precision of its input.
"""

from collections.abc import Sequence

import numpy as np

from core.options import NOMINAL_BASELINE

# One matrix for all of KITTI, in units of the image size, its principal point centred so that mirroring an
# image leaves it unchanged (Godard et al. 2019).
NOMINAL_FOCAL_LENGTHS = 0.58, 1.92


def nominal_intrinsics(height: int, width: int) -> np.ndarray:
    """K (3, 3) float32, pixels, of every image of KITTI resized to (height, width)."""
    focal_x, focal_y = NOMINAL_FOCAL_LENGTHS
    K = np.array([[focal_x, 0, 0.5], [0, focal_y, 0.5], [0, 0, 1]], np.float32)
    K[0] *= width
    K[1] *= height
    return K


def relative_intrinsics(values: Sequence[float], height: int, width: int) -> np.ndarray:
    """K (3, 3) float32, pixels of an image of (height, width), of numbers that hold for any size of it.

    Args:
        values: fx, fy, cx, cy in units of the image size, measured from the image's outer edge: (0.5, 0.5) is its
            middle, whichever its size. A camera calibrated in pixels, their centres at integers, has
            fx / w, fy / h, (cx + 0.5) / w, (cy + 0.5) / h.
    """
    fx, fy, cx, cy = values
    rows = [[fx * width, 0, cx * width - 0.5], [0, fy * height, cy * height - 0.5], [0, 0, 1]]
    return np.array(rows, np.float32)


def scaled_intrinsics(
    values: Sequence[float], image_size: tuple[int, int], height: int, width: int
) -> np.ndarray:
    """K (3, 3) float32, as `relative_intrinsics`, but the rows of the file's own K times the ratio of the sizes.

    The outer edge of the image does not stay where it was.

    Args:
        image_size: (height, width) of the image's file.
    """
    own = relative_intrinsics(values, *image_size).astype(np.float64)
    ratios = width / image_size[1], height / image_size[0], 1.0
    return (own * np.array(ratios)[:, None]).astype(np.float32)


def mapped_intrinsics(K: np.ndarray, A: np.ndarray) -> np.ndarray:
    """K' (3, 3) = A K of an image whose pixels u went to A u (3, 3), in the precision of K.

    Where A exchanges left and right the scene is taken to be mirrored, too: fx stays above 0.
    """
    mapped = A @ K.astype(np.float64)
    mapped[:, 0] *= np.sign(A[0, 0])
    return (mapped + 0.0).astype(K.dtype)  # no -0


def intrinsics_at_scale(K: np.ndarray, height: int, width: int, scale: int) -> np.ndarray:
    """K (…, 3, 3) of an image, for that image resized to (height // 2^scale, width // 2^scale)."""
    ratios = (width // 2**scale) / width, (height // 2**scale) / height, 1.0
    return K * np.array(ratios, K.dtype)[:, None]


def stereo_transform(side: str, mirrored: bool, baseline: float = NOMINAL_BASELINE) -> np.ndarray:
    """T_source_target (4, 4) float32 from a target camera to the other one of the stereo pair.

    Args:
        side: "l" when the target is the left image, "r" when it is the right.
        mirrored: the images were mirrored (sides are not exchanged then, the sign is).
        baseline: distance of the cameras, in the unit of depth.
    """
    T = np.eye(4, dtype=np.float32)
    T[0, 3] = {"l": -1, "r": 1}[side] * (-1 if mirrored else 1) * baseline
    return T


def mirror_motion(T_source_target: np.ndarray) -> np.ndarray:
    """T_source_target (…, 4, 4) between two mirrored views: M T M with M = diag(−1, 1, 1, 1)."""
    signs = np.array([-1, 1, 1, 1], T_source_target.dtype)
    return T_source_target * signs[:, None] * signs


def rotation(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (…, 3, 3) of axis-angle vectors (…, 3), radians, by Rodrigues' formula.

    The axis is v / (‖v‖ + 1e-7), as Godard et al. 2019: the identity at v = 0, no division by zero.
    """
    axis_angle = np.asarray(axis_angle)
    angle = np.linalg.norm(axis_angle, axis=-1, keepdims=True)
    axis = axis_angle / (angle + 1e-7)
    angle = angle[..., None]
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    outer = axis[..., :, None] * axis[..., None, :]
    identity = np.eye(3, dtype=axis.dtype)
    return np.cos(angle) * identity + (1 - np.cos(angle)) * outer + np.sin(angle) * cross


def rotation_angles(T: np.ndarray) -> np.ndarray:
    """Angles of rotation (S,), radians, of transforms (S, 4, 4).

    By the arc tangent of sine and cosine: the arc cosine alone makes an angle of 0.2 degrees of the rounding of four
    digits, for it sees only how far a matrix is from one that turns nothing, and not whether it turns at all.
    """
    R = T[:, :3, :3]
    axis = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1)
    return np.asarray(np.arctan2(np.linalg.norm(axis, axis=1), np.trace(R, axis1=1, axis2=2) - 1))


def rigid(axis_angle: np.ndarray, translation: np.ndarray, invert: bool = False) -> np.ndarray:
    """T = [R | t] (…, 4, 4) of axis-angle and translation (…, 3), or its exact inverse."""
    R = rotation(axis_angle)
    T = np.zeros((*R.shape[:-2], 4, 4), R.dtype)
    T[..., :3, :3] = R
    T[..., :3, 3] = translation
    T[..., 3, 3] = 1
    return invert_rigid(T) if invert else T


def invert_rigid(T: np.ndarray) -> np.ndarray:
    """[Rᵀ | −Rᵀ t] (…, 4, 4): T_b_a of T_a_b, without a general inverse."""
    R_transposed = np.swapaxes(T[..., :3, :3], -1, -2)
    inverse = np.zeros_like(T)
    inverse[..., :3, :3] = R_transposed
    inverse[..., :3, 3:] = -R_transposed @ T[..., :3, 3:]
    inverse[..., 3, 3] = 1
    return inverse


def backproject(depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Points (B, 3, H·W), row-major, of a depth map (B, 1, H, W) seen through K (B, 3, 3)."""
    batch, _, height, width = depth.shape
    v, u = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    homogeneous = np.stack([u.ravel(), v.ravel(), np.ones(height * width)]).astype(depth.dtype)
    rays = np.linalg.inv(K.astype(np.float64)).astype(depth.dtype) @ homogeneous
    return depth.reshape(batch, 1, -1) * rays


def transform(T_a_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (B, 3, N) of b in the coordinates of a; T_a_b (B, 4, 4)."""
    return T_a_b[:, :3, :3] @ points + T_a_b[:, :3, 3:]


def project(points: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Pixels (B, N, 2) as (x, y) of camera points (B, 3, N) through K (B, 3, 3).

    Points behind the camera are not masked: their mirrored projection is returned, as published (Godard et al. 2019).
    """
    projected = K @ points
    return np.swapaxes(projected[:, :2] / (projected[:, 2:] + 1e-7), 1, 2)


def normalize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels (…, 2) to sampling coordinates: the centres of the corner pixels at −1 and 1."""
    size = np.array([width - 1, height - 1], pixels.dtype)
    return (pixels / size - 0.5) * 2


def sample(image: np.ndarray, grid: np.ndarray, align_corners: bool = True) -> np.ndarray:
    """Bilinear sampling; outside the image its border is repeated.

    Args:
        image: (B, C, H, W).
        grid: (B, H', W', 2), (x, y) in −1 … 1.
        align_corners: −1 and 1 are the centres of the corner pixels; otherwise their outer edges.

    Returns:
        (B, C, H', W').
    """
    height, width = image.shape[2:]
    x = _pixel_coordinate(grid[..., 0], width, align_corners)
    y = _pixel_coordinate(grid[..., 1], height, align_corners)
    left, top = np.floor(x), np.floor(y)
    weight_x, weight_y = (x - left)[:, None], (y - top)[:, None]
    left, top = left.astype(int), top.astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    batch = np.arange(image.shape[0])[:, None, None]
    channels_last = np.moveaxis(image, 1, -1)

    def pixel(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return np.moveaxis(channels_last[batch, row, column], -1, 1)

    upper = pixel(top, left) * (1 - weight_x) + pixel(top, right) * weight_x
    lower = pixel(bottom, left) * (1 - weight_x) + pixel(bottom, right) * weight_x
    return upper * (1 - weight_y) + lower * weight_y


def _pixel_coordinate(normalised: np.ndarray, size: int, align_corners: bool) -> np.ndarray:
    coordinate = (normalised + 1) / 2 * (size - 1) if align_corners else ((normalised + 1) * size - 1) / 2
    return np.clip(coordinate, 0, size - 1)


def warp(
    source: np.ndarray,
    depth: np.ndarray,
    K: np.ndarray,
    T_source_target: np.ndarray,
    align_corners: bool = True,
) -> np.ndarray:
    """Rebuilds the target view by sampling a source view (Zhou et al. 2017, eq. 2).

    Args:
        source: (B, C, H, W) image.
        depth: (B, 1, H, W) depth of the target view.
        K: (B, 3, 3) intrinsics shared by both views, pixels.
        T_source_target: (B, 4, 4) target camera to source camera, in units of the depth.
        align_corners: False only to reproduce the published program on PyTorch from 1.3 on.

    Returns:
        The rebuilt view, (B, C, H, W).
    """
    batch, _, height, width = depth.shape
    pixels = project(transform(T_source_target, backproject(depth, K)), K).reshape(batch, height, width, 2)
    return sample(source, normalize(pixels, *source.shape[2:]), align_corners)


def median_spacing(rays: np.ndarray, downsample: bool = True) -> float:
    """The median angle between neighbouring viewing rays in radians, along rows and columns.

    Args:
        rays: (3, H, W), unit.
        downsample: between neighbours of half size, ⌊H/2⌋ × ⌊W/2⌋, whose corners are those of full size.
    """
    rays = np.asarray(rays, np.float64)
    angles = []
    for axis in (1, 2):
        count = rays.shape[axis]
        chord = np.linalg.norm(np.diff(rays, axis=axis), axis=0)
        stretch = (count - 1) / (count // 2 - 1) if downsample and count > 3 else 1.0
        angles.append((2 * np.arcsin(np.minimum(chord / 2, 1)) * stretch).ravel())
    return float(np.median(np.concatenate(angles)))
