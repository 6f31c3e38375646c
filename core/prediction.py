"""What `predict.py` reads and writes."""

import glob
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.checkpoint import write_atomically
from core.colour import colour_map
from core.disparity import STEREO_SCALE_FACTOR
from core.errors import UserError

DISPARITY_SUFFIX, DEPTH_SUFFIX, COLOUR_SUFFIX = OUTPUTS = ("_disp.npy", "_depth.npz", "_disp.jpeg")


def find_images(path: str, extensions: list[str]) -> list[Path]:
    """The image of that name, the images in that folder, or those that match that pattern; sorted.

    Args:
        extensions: of the images to look for in a folder, without the dot.

    Raises:
        UserError: nothing is there.
    """
    if Path(path).is_dir():
        endings = tuple(f".{extension.lower().lstrip('.')}" for extension in extensions)
        found = [file for file in Path(path).iterdir() if file.name.lower().endswith(endings)]
        missing = (
            f"{path}: the folder has no images {', '.join(f'*{ending}' for ending in endings)}; see --ext"
        )
    elif Path(path).is_file():
        return [Path(path)]
    else:
        found = [Path(name) for name in glob.glob(path)]
        missing = f"{path}: no such image, and no image matches it as a pattern"
    # What an earlier run wrote beside the images is no input.
    images = sorted(file for file in found if file.is_file() and not file.name.endswith(OUTPUTS))
    if not images:
        raise UserError(missing)
    return images


def output_stems(images: list[Path], output: str | None) -> dict[Path, Path]:
    """Where the results of each image go: `<folder>/<name of the image>`, to which suffixes are added.

    Raises:
        UserError: two images would write the same files.
    """
    stems = {image: Path(output or image.parent) / image.stem for image in images}
    taken: dict[Path, Path] = {}
    for image, stem in stems.items():
        if stem in taken:
            raise UserError(
                f"{taken[stem]} and {image} would both be written to {stem}_*; predict them one by one"
            )
        taken[stem] = image
    return stems


@dataclass(frozen=True)
class Prediction:
    """The disparity of one image and how to write it.

    Attributes:
        disparity: (H, W) 1 / depth, at the size of the network.
        image_size: (height, width) of the image.
        metric: the model was trained with stereo and metres are wanted.
        model: for the record inside the file.
    """

    disparity: np.ndarray
    image_size: tuple[int, int]
    metric: bool
    model: str

    @property
    def scale_factor(self) -> float:
        """Multiplies 1 / disparity."""
        return STEREO_SCALE_FACTOR if self.metric else 1.0

    @property
    def depth(self) -> np.ndarray:
        """(H, W) float32: metres, or up to one unknown scale."""
        return (self.scale_factor / self.disparity).astype(np.float32)

    def save(self, stem: Path) -> None:
        """Writes `<stem>_disp.npy`, `<stem>_depth.npz` and `<stem>_disp.jpeg`, each whole or not at all."""
        unit = "metres" if self.metric else "relative: true up to one unknown scale"
        record = {"unit": unit, "scale_factor": self.scale_factor, "model": self.model}
        disparity = self.disparity[None, None].astype(np.float32)
        write_atomically(_with(stem, DISPARITY_SUFFIX), lambda path: np.save(path, disparity))
        write_atomically(
            _with(stem, DEPTH_SUFFIX),
            lambda path: np.savez(path, depth=self.depth, **record),  # type: ignore[arg-type]
        )
        colours = Image.fromarray(colour_map(self.disparity, self.image_size))
        write_atomically(_with(stem, COLOUR_SUFFIX), lambda path: colours.save(path, quality=95))


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
