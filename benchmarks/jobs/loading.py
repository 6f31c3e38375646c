"""Training samples of three frames with jitter, from files and from memory, beside every step to the letter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks import Row
from benchmarks.frames import DRIVE, make_frames, options_on
from benchmarks.timing import compare
from core.datasets import open_dataset
from core.datasets.augmentation import Augmentation, brightness, contrast, saturation
from core.datasets.hue import turned_by_pillow
from core.datasets.sample import Sample, augmented_key, image_key
from core.datasets.samples import SequenceDataset

FRAMES, SAMPLES, ROUNDS = 8, 6, 5
SCALES = 4
PLAIN = {"brightness": brightness, "contrast": contrast, "saturation": saturation}


def measure() -> Iterator[Row]:
    """Of JPEG and PNG files, and of JPEG files that were loaded before."""
    with TemporaryDirectory() as folder:
        frames = make_frames(Path(folder), small=False, count=FRAMES)
        options = options_on(frames, small=False, batch_size=1, cache_images=0)
        dataset = open_dataset(options, "train")
        difference = largest_difference(dataset)
        yield row(dataset, dataset, "a training sample of .jpg", 4, difference)
        warm = open_dataset(replace(options, cache_images=None), "train")
        yield row(dataset, warm, "the same, loaded before", 15, difference)
        for path in (frames / DRIVE / "image_02" / "data").glob("*.jpg"):
            Image.open(path).save(path.with_suffix(".png"), compress_level=6)
        png = open_dataset(replace(options, png=True), "train")
        yield row(png, png, "a training sample of .png", 2.5, largest_difference(png))


def row(plain: SequenceDataset, ours: SequenceDataset, job: str, wanted: float, difference: float) -> Row:
    """The same samples either way; half of them with jitter, as published."""

    def all_of(load: Callable[[int, int], object]) -> None:
        for number in range(SAMPLES):
            load(number, number)

    return compare(
        job,
        lambda: all_of(lambda epoch, index: to_the_letter(plain, epoch, index)),
        lambda: all_of(lambda epoch, index: ours[epoch, index]),
        rounds=ROUNDS,
        wanted=wanted,
        difference=difference,
        per=SAMPLES,
    )


def largest_difference(dataset: SequenceDataset) -> float:
    """Of any byte of some samples."""
    found = 0
    for number in range(SAMPLES):
        plain, ours = to_the_letter(dataset, number, number), dataset[number, number]
        for name, array in ours.items():
            if name.startswith(("image_", "augmented_")):
                expected = (np.rint(plain[name] * 255).transpose(1, 2, 0)).astype(int)
                found = max(found, int(np.abs(expected - array).max()))
    return float(found)


def to_the_letter(dataset: SequenceDataset, epoch: int, index: int) -> Sample:
    """Every frame decoded, mirrored and resized to every scale, and every scale changed in its colours; float32."""
    drawn, line, sample = dataset.augmentation((epoch, index)), dataset.lines[index], {}
    for frame in dataset.frames:
        with Image.open(dataset.image_path(line, frame)) as file:
            level = file.convert("RGB")
        if drawn.mirrored:
            level = level.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for scale in range(SCALES):
            size = dataset.width >> scale, dataset.height >> scale
            level = level.resize(size, Image.Resampling.LANCZOS)
            sample[image_key(frame, scale)] = as_floats(level)
            key = augmented_key(frame)
            sample[key if scale == 0 else f"{key}/{scale}"] = as_floats(jittered(level, drawn))
    return sample


def jittered(image: Image.Image, drawn: Augmentation) -> Image.Image:
    """Its colours changed, the circle of hues turned by Pillow."""
    for name, factor in drawn.jitter:
        image = turned_by_pillow(image, int(255 * factor)) if name == "hue" else PLAIN[name](image, factor)
    return image


def as_floats(image: Image.Image) -> np.ndarray:
    """(3, H, W) in [0, 1]."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32) / 255
