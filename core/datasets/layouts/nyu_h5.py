"""The test images of NYU Depth v2 as others hand them on: a folder of `.h5` files, an image and its depth in each.

`rgb` is uint8 (3, 480, 640), `depth` (480, 640) metres; what else a file holds is not looked at. For evaluation only.
"""

from pathlib import Path

import numpy as np

from core.datasets.evaluated_images import EvaluatedImages, OnDemand, checked_truths
from core.datasets.preparation import network_images
from core.datasets.sample import Sample, image_key
from core.errors import UserError
from core.files.arrays import as_float32
from core.options import EvaluationOptions
from core.options.needs import Preparation
from core.options.protocols import Subject
from core.weights.h5 import read_h5

PUBLISHED_IMAGES = 654
FOLDER, SUFFIX = "nyu_test", ".h5"
SIZE = (480, 640)
MAX_FILE_BYTES = 64 << 20  # an image, its depth, normals and a mask take 9
KIND = "HDF5 file of an image and its depth"
CURE = "copy it again; a compressed one is read after h5repack -f NONE OLD.h5 NEW.h5"


def read_image(path: Path) -> np.ndarray:
    """The picture of a file, uint8 (480, 640, 3) RGB.

    Raises:
        UserError: damaged, or no such file.
    """
    rgb = _read(path, "rgb")
    if rgb.shape != (3, *SIZE) or rgb.dtype != np.uint8:
        raise UserError(
            f"{path}: rgb is {rgb.dtype} of shape {rgb.shape}, expected uint8 (3, 480, 640); {CURE}"
        )
    return np.ascontiguousarray(rgb.transpose(1, 2, 0))


def read_depth(path: Path) -> np.ndarray:
    """The depth of a file: float32 (480, 640), metres; 0 = unknown, as is what is not above 0 or not finite.

    Raises:
        UserError: damaged, or no such file.
    """
    depth = _read(path, "depth")
    if depth.shape != SIZE or depth.dtype.kind != "f":
        raise UserError(
            f"{path}: depth is {depth.dtype} of shape {depth.shape}, expected metres (480, 640) in floating point; "
            f"{CURE}"
        )
    depth = as_float32(depth, str(path), CURE)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def find_files(data_path: Path) -> list[Path]:
    """The files of `nyu_test` in a folder, or of that folder itself, in the order of their names.

    Raises:
        UserError: there are none.
    """
    if not data_path.is_dir():
        raise UserError(f"{data_path}: no such folder; --data_path must hold {FOLDER}/*{SUFFIX}")
    folder = data_path / FOLDER if (data_path / FOLDER).is_dir() else data_path
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == SUFFIX and file.is_file())
    if not files:
        raise UserError(f"{folder}: no *{SUFFIX} in it; --data_path must hold {FOLDER}/*{SUFFIX}")
    return files


class NyuSamples:
    """Samples (see `core/datasets/sample.py`) of nothing but `image_0_0`: `dataset[(epoch, index)]`.

    Args:
        subject: whose crop the images are cut to.
        preparation: whose size and filter they get.
    """

    def __init__(self, files: list[Path], subject: Subject, preparation: Preparation) -> None:
        self.files, self.subject, self.preparation = files, subject, preparation

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """An image, cut and resized.

        Raises:
            UserError: its file is damaged.
        """
        image = cut(read_image(self.files[key[1]]), self.subject)
        return {image_key(0): network_images(image, self.preparation)[0]}

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return str(self.files[index])


class NyuImages(EvaluatedImages):
    """All files of `<data_path>/nyu_test`, or of the folder itself.

    Raises:
        UserError: see `find_files`.
    """

    def __init__(self, options: EvaluationOptions) -> None:
        self.subject = options.chosen_protocol.subject
        self.files = find_files(Path(options.data_path))
        self.names, self.notes = [file.stem for file in self.files], []
        if len(self.files) != PUBLISHED_IMAGES:
            self.notes.append(
                f"{options.data_path}: {len(self.files)} images; the test set that numbers are published of has "
                f"{PUBLISHED_IMAGES}"
            )

    def truths(self) -> OnDemand[np.ndarray]:
        """Dense maps, cut."""
        truths = OnDemand(self.files, lambda path: cut(read_depth(path), self.subject))
        return checked_truths(f"true depth in {self.files[0].parent}", truths, self.names)

    def samples(self, preparation: Preparation) -> NyuSamples:
        """The images."""
        return NyuSamples(self.files, self.subject, preparation)


def cut(values: np.ndarray, subject: Subject) -> np.ndarray:
    """(480, 640, …) → what the subject's crop keeps, contiguous."""
    top, bottom, left, right = subject.crop.bounds(*values.shape[:2])
    return np.ascontiguousarray(values[top:bottom, left:right])


def _read(path: Path, name: str) -> np.ndarray:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(
            f"{path}: is larger than an image and its depth can be, {MAX_FILE_BYTES >> 20} MiB; {CURE}"
        )
    return read_h5(path, [name], KIND, CURE)[name]
