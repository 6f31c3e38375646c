"""Made-up video in KITTI's layout and size, for measurements of speed: nothing can be learnt from it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from core.cores import available_cores
from core.datasets import open_dataset
from core.files.whole import write_text
from core.options.methods.monodepth2 import Monodepth2Options

DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"
NATIVE = (375, 1242)  # of KITTI, pixels
FRAMES = 48
SIZES = {False: (192, 640, 12), True: (64, 64, 1)}  # small or not: height, width, batch


def frame(number: int, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): shapes of all sizes that move to the side, and the noise of a sensor."""
    rng = np.random.default_rng(0)
    image = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 8):
        coarse = rng.integers(0, 256, (2**octave, 3 * 2**octave, 3), dtype=np.uint8)
        coarse = np.roll(coarse, number if octave > 3 else 0, axis=1)
        large = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image += np.asarray(large, np.float32) / 2 ** (octave - 1)
    image += np.random.default_rng(number).normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def make_frames(output: Path, small: bool, count: int = FRAMES) -> Path:
    """A folder of frames and lists, written unless it is there: JPEG as KITTI is kept, of quality 92."""
    folder = output / ("frames_small" if small else "frames")
    done = folder / "split" / "val_files.txt"  # written last
    if done.is_file():
        return folder
    height, width = (96, 320) if small else NATIVE
    count = 10 if small else count

    def write(number: int) -> None:
        path = folder / DRIVE / "image_02" / "data" / f"{number:010d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame(number, height, width)).save(path, quality=92, subsampling="4:2:0")

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(write, range(count)))
    lines = [f"{DRIVE} {number} l\n" for number in range(1, count - 1)]
    done.parent.mkdir(parents=True, exist_ok=True)
    write_text(done.parent / "train_files.txt", "".join(lines))
    write_text(done, "".join(lines[:4]))
    return folder


def images(folder: Path) -> list[Path]:
    """The files of the frames."""
    return sorted((folder / DRIVE / "image_02" / "data").glob("*.jpg"))


def options_on(folder: Path, small: bool, **changes: object) -> Monodepth2Options:
    """The published setting, ResNet-18 from video at 640x192 in batches of 12, on these frames."""
    height, width, batch = SIZES[small]
    settings = {
        **{"height": height, "width": width, "batch_size": batch, "weights_init": "scratch"},
        **{"data_path": str(folder), "split": str(folder / "split"), "validation": False},
        **{"log_dir": str(folder.parent / "runs"), "num_epochs": 1},
    }
    options = Monodepth2Options(**(settings | changes))
    options.validate()
    return options


class Repeated:
    """A data set whose epochs are longer than its list: the same samples again, with other augmentation."""

    def __init__(self, options: Monodepth2Options, length: int) -> None:
        self.dataset, self.length = open_dataset(options, "train"), length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        epoch, index = key
        rounds, row = divmod(index, len(self.dataset))
        return self.dataset[epoch + rounds, row]

    def describe(self, index: int) -> str:
        """The file of a sample, for messages."""
        return self.dataset.describe(index % len(self.dataset))
