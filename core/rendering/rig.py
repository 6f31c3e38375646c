"""The recording car: two colour cameras, a scanner and an inertial unit, calibrated in KITTI's files.

Frames as in KITTI (Geiger et al. 2013): cameras x right, y down, z forward; scanner, inertial unit and
vehicle x forward, y left, z up. "Rectified" is camera 0 after R_rect_00; P_rect_0i = K [I | t_i] maps it to
the pixels of camera i.
"""
# ruff: noqa: N802 - K, P_rect and T_a_b are the field's names

from dataclasses import dataclass

import numpy as np

from core.cameras.models import Camera, ImagePlane, Pinhole

Array = np.ndarray
CAMERA_HEIGHT = 1.65  # metres above the road
BASELINE = 0.54  # metres between cameras 2 and 3
CAMERAS = (0, 1, 2, 3)
# Camera i in the rectified frame of camera 0: p_i = p_0 + OFFSETS[i], metres.
OFFSETS = {
    0: np.zeros(3),
    1: np.array([-0.537, 0.0, 0.0]),
    2: np.array([0.0597, -0.0003, 0.0027]),
    3: np.array([0.0597 - BASELINE, -0.0003, 0.0027]),
}
# Small angles, radians, of each unrectified camera against the rectified frame.
_RECTIFYING = {
    0: (0.0043, -0.0074, -0.0098),
    1: (-0.0044, 0.0233, 0.0089),
    2: (0.0010, -0.0028, -0.0151),
    3: (0.0023, 0.0168, 0.0072),
}
AXES_UP = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])  # rectified → camera
AXES_CAMERA_VEHICLE = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])


def rotation(roll: float, pitch: float, yaw: float) -> Array:
    """R = Rz(yaw) Ry(pitch) Rx(roll), radians."""
    (a, b, c), (s, p, q) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    x = np.array([[1, 0, 0], [0, a, -s], [0, s, a]])
    y = np.array([[b, 0, p], [0, 1, 0], [-p, 0, b]])
    z = np.array([[c, -q, 0], [q, c, 0], [0, 0, 1]])
    return np.asarray(z @ y @ x)


def rigid(R: Array, t: Array) -> Array:
    """The 4x4 transform of a rotation and a translation."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


def written(values: Array) -> Array:
    """The values as the calibration files hold them: six decimals of the mantissa."""
    return np.array([float(f"{v:.6e}") for v in np.ravel(values)]).reshape(np.shape(values))


@dataclass(frozen=True)
class Rig:
    """Calibration of one image size. All transforms are built from the numbers as written in the files.

    Args:
        lens: what both cameras are; None: the pinhole of KITTI's proportions.
        looks_up: their axes point upwards, and what is ahead is at the top of the images; of no pinhole.
    """

    height: int
    width: int
    lens: Camera | None = None
    looks_up: bool = False

    @property
    def camera(self) -> Camera:
        """The model of both cameras."""
        if self.lens is not None and not is_plain_pinhole(self.lens):
            return self.lens
        K = self.K
        return Pinhole(ImagePlane(K[0, 0], K[1, 1], K[0, 2], K[1, 2]))

    @property
    def K(self) -> Array:
        """(3, 3): close to the nominal 0.58 W, 1.92 H; the principal point is about 1 % off the centre.

        Of another pinhole its own; no other camera has one.
        """
        if self.lens is not None:
            assert isinstance(self.lens, Pinhole)
            return written(self.lens.K)
        fx, fy = 0.58 * self.width, 1.92 * self.height
        cx, cy = 0.494 * self.width, 0.489 * self.height
        return written(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))

    def P_rect(self, camera: int) -> Array:
        """(3, 4): rectified camera 0, homogeneous metres → pixels of the camera."""
        return written(np.c_[self.K, self.K @ OFFSETS[camera]])

    def T_camera_rectified(self, camera: int) -> Array:
        """(4, 4): rectified camera 0 → rectified camera i, from the written P, where cameras have one."""
        if not is_plain_pinhole(self.camera):
            R = AXES_UP if self.looks_up else np.eye(3)
            return rigid(R, R @ OFFSETS[camera])
        return rigid(np.eye(3), np.linalg.solve(self.K, self.P_rect(camera)[:, 3]))

    @property
    def R_rect(self) -> Array:
        return written(rotation(*_RECTIFYING[0]).T)

    @property
    def T_camera_velodyne(self) -> Array:
        """(4, 4): scanner → camera 0 before rectification (the file calib_velo_to_cam.txt)."""
        turned = rotation(0.002, -0.0035, 0.0068)
        R = self.R_rect.T @ AXES_CAMERA_VEHICLE @ turned
        return rigid(written(R), written(np.array([-0.0041, -0.0763, -0.2718])))

    @property
    def T_velodyne_imu(self) -> Array:
        """(4, 4): inertial unit → scanner (calib_imu_to_velo.txt)."""
        return rigid(
            written(rotation(0.0148, 0.0020, -0.0008)), written(np.array([-0.8087, 0.3196, -0.7997]))
        )

    @property
    def T_vehicle_rectified(self) -> Array:
        """(4, 4): rectified camera 0 → vehicle, whose origin lies on the road below camera 0."""
        return rigid(AXES_CAMERA_VEHICLE.T, np.array([0, 0, CAMERA_HEIGHT]))

    @property
    def T_rectified_velodyne(self) -> Array:
        return rigid(self.R_rect, np.zeros(3)) @ self.T_camera_velodyne

    def files(self) -> dict[str, str]:
        """Name and text of the three calibration files, with all keys of KITTI's.

        Without K, D and P_rect where the cameras are no pinholes: whoever would project by them is told so.
        """
        is_pinhole = is_plain_pinhole(self.camera)
        lines = ["calib_time: 09-Jan-2012 13:57:47", f"corner_dist: {_row(np.array([0.0995]))}"]
        size = np.array([self.width, self.height], float)
        for i in CAMERAS:
            # Rectified frames are parallel: R_rect_i (R_i x + T_i) = R_rect_0 x + OFFSETS[i].
            R_rect = self.R_rect if i == 0 else rotation(*_RECTIFYING[i]).T
            projection = {"K": self.K, "D": np.zeros(5)} if is_pinhole else {}
            entries = {
                "S": size, **projection, "R": R_rect.T @ self.R_rect if i else np.eye(3),
                "T": R_rect.T @ OFFSETS[i], "S_rect": size, "R_rect": R_rect,
            }  # fmt: skip
            if is_pinhole:
                entries["P_rect"] = self.P_rect(i)
            lines += [f"{name}_{i:02d}: {_row(values)}" for name, values in entries.items()]
        return {
            "calib_cam_to_cam.txt": "\n".join(lines) + "\n",
            "calib_velo_to_cam.txt": _rigid_file("15-Mar-2012 11:37:16", self.T_camera_velodyne)
            + "delta_f: 0.000000e+00 0.000000e+00\ndelta_c: 0.000000e+00 0.000000e+00\n",
            "calib_imu_to_velo.txt": _rigid_file("25-May-2012 16:47:16", self.T_velodyne_imu),
        }


def is_plain_pinhole(camera: Camera) -> bool:
    """Whether a matrix K says all of a camera."""
    return isinstance(camera, Pinhole) and camera.distortion.is_none and not camera.plane.skew


def _row(values: Array) -> str:
    return " ".join(f"{v:.6e}" for v in np.ravel(values))


def _rigid_file(time: str, T: Array) -> str:
    return f"calib_time: {time}\nR: {_row(T[:3, :3])}\nT: {_row(T[:3, 3])}\n"
