"""Pictures of viewing rays: their components, where they look, and how far they are from others."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Array = np.ndarray
UNSEEN = (128, 128, 128)
MARGIN, HEADER, BAR = 6, 16, 12  # pixels


def component_colours(rays: Array, valid: Array | None = None) -> Array:
    """(H, W, 3) uint8 RGB of rays (3, H, W): x, y, z are red, green, blue, 0 for −1, 255 for 1; grey where unseen."""
    unit = np.asarray(rays, np.float64) / np.linalg.norm(rays, axis=0)
    return _masked(np.moveaxis((unit + 1) / 2, 0, -1), valid)


def direction_colours(rays: Array, valid: Array | None = None) -> Array:
    """(H, W, 3) uint8 RGB of rays (3, H, W): the hue is the direction around the axis, white is the axis itself.

    The colour deepens up to 90 degrees off the axis, and darkens beyond; a ring every 30 degrees.
    """
    from matplotlib.colors import hsv_to_rgb

    x, y, z = np.asarray(rays, np.float64)
    angle = np.arctan2(np.hypot(x, y), z) / (np.pi / 2)
    hue = np.mod(np.arctan2(y, x) / (2 * np.pi), 1.0)
    value = 1 - 0.7 * np.clip(angle - 1, 0, 1)
    colours = np.asarray(hsv_to_rgb(np.stack([hue, np.clip(angle, 0, 1), value], -1)))
    colours[_steps(angle * 3)] *= 0.75
    return _masked(colours, valid)


def angle_picture(angles: Array, valid: Array | None = None, largest: float | None = None) -> Image.Image:
    """Angles (H, W) in radians in magma, a scale in degrees below.

    Args:
        largest: the angle of the lightest colour, radians; None: the largest seen.
    """
    from core.files.colour import colour_map

    seen = angles if valid is None else angles[valid]
    top = float(seen.max(initial=0.0)) if largest is None else largest
    painted = colour_map(angles, limits=(0.0, top or 1e-6))
    if valid is not None:
        painted[~valid] = UNSEEN
    height, width = angles.shape
    scale = colour_map(np.broadcast_to(np.linspace(0, 1, width), (BAR, width)), limits=(0.0, 1.0))
    picture = Image.new("RGB", (width, height + MARGIN + BAR + HEADER), "white")
    picture.paste(Image.fromarray(painted), (0, 0))
    picture.paste(Image.fromarray(scale), (0, height + MARGIN))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    below = height + MARGIN + BAR + 1
    draw.text((1, below), "0°", fill="black", font=font)
    draw.text((width - 1, below), f"{np.degrees(top):.3g}°", fill="black", font=font, anchor="ra")
    return picture


def template_picture(rays: Array, valid: Array | None = None) -> Image.Image:
    """Components, directions and angles off the axis of rays (3, H, W), side by side under titles."""
    x, y, z = np.asarray(rays, np.float64)
    panels = {
        "x, y, z": Image.fromarray(component_colours(rays, valid)),
        "direction": Image.fromarray(direction_colours(rays, valid)),
        "angle off the axis": angle_picture(np.arctan2(np.hypot(x, y), z), valid),
    }
    width = panels["x, y, z"].width
    height = max(panel.height for panel in panels.values())
    picture = Image.new("RGB", (len(panels) * (width + MARGIN) - MARGIN, HEADER + height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for number, (title, panel) in enumerate(panels.items()):
        left = number * (width + MARGIN)
        draw.text((left + 1, 1), title, fill="black", font=font)
        picture.paste(panel, (left, HEADER))
    return picture


def _steps(values: Array) -> Array:
    """Where whole numbers lie between a pixel and its neighbour to the left or above."""
    level = np.floor(values)
    edge = np.zeros(values.shape, bool)
    edge[1:] |= level[1:] != level[:-1]
    edge[:, 1:] |= level[:, 1:] != level[:, :-1]
    return edge


def _masked(colours: Array, valid: Array | None) -> Array:
    painted = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    if valid is not None:
        painted[~valid] = UNSEEN
    return painted
