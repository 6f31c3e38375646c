"""How `predict.py` grows with the images of a folder: time and memory of whole processes."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from backends.torch.trainer import Trainer
from benchmarks import Row
from benchmarks.costs import costs_of
from benchmarks.frames import images, make_frames, options_on

COUNTS = (10, 100, 1000)
DIFFERENT = 10  # frames; the others are the same again


def measure() -> Iterator[Row]:
    """Of frames as KITTI's, at 640x192."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        frames = images(make_frames(folder, small=False, count=DIFFERENT))
        weights = folder / "weights"
        Trainer(options_on(folder / "frames", small=False, batch_size=1), pretrained=False).save(weights)
        for count in COUNTS:
            source = folder / str(count)
            source.mkdir()
            for number in range(count):
                os.link(frames[number % DIFFERENT], source / f"{number:04d}.jpg")
            words = [
                "predict.py",
                "--load_weights_folder",
                weights,
                "--image_path",
                source,
                "--save",
                "disparity",
            ]
            cost = costs_of(
                [*map(str, words), "--output", str(folder / "out"), "--overwrite", "--device", "cpu"]
            )
            yield from cost.rows(f"prediction of {count} images")
