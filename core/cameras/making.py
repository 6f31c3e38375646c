"""A template from what make_rays.py is asked for."""

from pathlib import Path

import numpy as np

from core.cameras.calibration import read_calibration
from core.cameras.choice import make_camera
from core.cameras.models import Camera, Limited
from core.cameras.templates import Template, angles_between, read_rays, resized
from core.errors import UserError
from core.options.cameras import RayOptions

Array = np.ndarray


def make_template(options: RayOptions) -> Template:
    """The rays of a camera, of a calibration file, or of a file of rays, for images of the size asked for.

    Raises:
        UserError: a file is unreadable, numbers are impossible, or no pixel has a ray.
    """
    limits = np.radians([options.min_angle, options.max_angle])
    if options.template is not None:
        template = _of_file(options)
        inside = _within(template.rays, *limits)
        valid = inside if template.valid is None else template.valid & inside
        rays, notes = template.rays, template.notes
    else:
        camera, size = _camera(options)
        height, width = _wanted(options, size)
        camera = camera.resized(width / size[1], height / size[0])
        if options.min_angle > 0 or options.max_angle < 180:
            camera = Limited(camera, *map(float, limits))
        rays, valid = camera.rays(height, width)
        notes = _notes(size, (height, width))
    if not valid.any():
        raise UserError("no pixel has a ray; check the camera's numbers, --min_angle and --max_angle")
    return Template(rays.astype(np.float32), None if valid.all() else valid, notes)


def describe(template: Template) -> str:
    """Size, angles and mask of a template, for a reader."""
    x, y, z = template.rays.astype(np.float64)
    height, width = z.shape
    seen = np.ones((height, width), bool) if template.valid is None else template.valid
    angle = np.degrees(np.arctan2(np.hypot(x, y), z))[seen]
    unit = template.rays / np.linalg.norm(template.rays.astype(np.float64), axis=0)
    beside = np.degrees(angles_between(unit[:, :, 1:], unit[:, :, :-1])[seen[:, 1:] & seen[:, :-1]])
    spacing = f", neighbours {np.median(beside):.3g} degrees apart" if beside.size else ""
    return (
        f"rays of {width}x{height} pixels, {angle.min():.3g} to {angle.max():.3g} degrees off the axis{spacing}; "
        f"{seen.mean():.1%} of the pixels have one"
    )


def _of_file(options: RayOptions) -> Template:
    template = read_rays(Path(options.template or ""))
    size = template.rays.shape[1:]
    if options.height is None or options.width is None or size == (options.height, options.width):
        return template
    return resized(template, options.height, options.width)


def _camera(options: RayOptions) -> tuple[Camera, tuple[int, int]]:
    """The camera, and the size (height, width) of the images that its numbers hold for."""
    given = None
    if options.calibrated_height is not None and options.calibrated_width is not None:
        given = (options.calibrated_height, options.calibrated_width)
    if options.calibration is not None:
        known = read_calibration(Path(options.calibration), options.camera_name, given, options.camera)
        if given is not None and given != known.image_size:
            height, width = known.image_size
            raise UserError(
                f"{options.calibration}: is for images of {width}x{height}; leave --calibrated_height and "
                "--calibrated_width out"
            )
        return known.camera, known.image_size
    assert (
        options.camera is not None and options.height is not None and options.width is not None
    )  # validated
    size = given or (options.height, options.width)
    return make_camera(options.camera, options.parameters or (), *size), size


def _wanted(options: RayOptions, size: tuple[int, int]) -> tuple[int, int]:
    if options.height is None or options.width is None:
        return size
    return options.height, options.width


def _notes(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[str, ...]:
    if size[0] * wanted[1] == size[1] * wanted[0]:
        return ()
    return (
        f"the images of {size[1]}x{size[0]} are taken to be stretched to {wanted[1]}x{wanted[0]}, not cropped",
    )


def _within(rays: Array, least: float, most: float) -> Array:
    angle = np.arctan2(np.hypot(rays[0], rays[1]), rays[2])
    return np.asarray((angle >= least) & (angle <= most))
