"""The cameras that a drive may be recorded by."""

from functools import lru_cache
from math import radians

from core.cameras.choice import make_camera
from core.cameras.models import Camera, Limited
from core.errors import UserError

# In units of the width: focal length; then what has no unit.
USUAL = {
    "kannala_brandt": (0.3125, (0.02, -0.005, 0.001, -0.0001)),
    "unified": (45 / 128, (0.95,)),
}


@lru_cache(maxsize=4)
def lens_of(
    name: str, numbers: tuple[float, ...] | None, max_angle: float, height: int, width: int
) -> Camera | None:
    """The camera of options; None: the pinhole of KITTI's proportions.

    Args:
        numbers: in pixels; None: the usual ones.
        max_angle: degrees off the axis, beyond which nothing is seen.

    Raises:
        UserError: impossible numbers, or nothing is seen.
    """
    where = "option camera_parameters"
    if numbers is None and name in USUAL:
        focal, more = USUAL[name]
        numbers = (focal * width, focal * width, (width - 1) / 2, (height - 1) / 2, *more)
    if numbers is None and name == "pinhole":
        if max_angle < 180:
            raise UserError("option max_angle: needs the numbers of the pinhole, --camera_parameters")
        return None
    camera = make_camera(name, numbers or (), height, width, where)
    if max_angle < 180:
        camera = Limited(camera, 0.0, radians(max_angle))
    if not camera.rays(height, width)[1].any():
        raise UserError(
            f"{where}: the camera sees nothing in an image of {width}x{height}; check them and --max_angle"
        )
    return camera
