"""A disk that is full: whatever writes says so in one line, and the older file stays.

A limit on the size of files stands in for the disk: like it, it lets a write end short, and only the next one fails.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.hints.files import Coded, write_hint
from core.datasets.hints.picture import save as save_picture
from core.datasets.videos import _write_frames
from core.errors import UserError
from core.evaluation.disparity_files import save_benchmark_images, save_disparities
from core.files.arrays import save_arrays
from core.files.images import write_image
from core.files.video import VideoReader, write_video
from core.options import PredictionOptions
from core.prediction.files import IN_FOLDERS, WRITERS, PredictionWriter, file_of
from core.weights.h5 import write_h5

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (96, 128, 3), np.uint8)  # no codec makes it small
VALUES = RNG.uniform(0.1, 1, (2, 96, 128)).astype(np.float32)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may be longer than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def frames(count: int) -> Iterator[np.ndarray]:
    for number in range(count):
        yield np.roll(NOISE, 7 * number, axis=1)


def upload(path: Path) -> None:
    save_benchmark_images(path, VALUES, 5.4)


WRITE: dict[str, Callable[[Path], object]] = {
    "a.mp4": lambda path: write_video(path, frames(12), 25.0),
    "a.jpg": lambda path: write_image(path, Image.fromarray(NOISE), quality=95),
    "a.png": lambda path: write_image(path, Image.fromarray(NOISE)),
    "a.npy": lambda path: save_disparities(path, VALUES),
    "a.npz": lambda path: save_arrays(path, {"one": VALUES}),
    "a.h5": lambda path: write_h5(path, {"one": VALUES}),
    "hint.png": lambda path: write_hint(path, Coded(NOISE[:, :, 0].astype(np.uint16), 0.1, 1.0), "made"),
    "picture.jpg": lambda path: save_picture(path, NOISE),
}


@pytest.mark.parametrize("short", [0.05, 0.5, 0.97, -1], ids=str)
@pytest.mark.parametrize("name", WRITE)
def test_an_older_file_stays(tmp_path: Path, name: str, short: float) -> None:
    """However much of the new one there is room for, up to all but its last byte."""
    path = tmp_path / name
    WRITE[name](path)
    older, size = path.read_bytes(), path.stat().st_size
    with (
        room_for(size - 1 if short < 0 else int(size * short)),
        pytest.raises(UserError, match="cannot be written"),
    ):
        WRITE[name](path)
    assert path.read_bytes() == older and [file.name for file in tmp_path.iterdir()] == [name]


def test_a_short_video_names_the_disk(tmp_path: Path) -> None:
    with (
        room_for(60_000),
        pytest.raises(
            UserError, match=rf"a\.mp4: cannot be written whole: \d+ MiB are free on the disk of {tmp_path}"
        ),
    ):
        write_video(tmp_path / "a.mp4", frames(12), 25.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", [0.5, 12.5, 23.976, 30000 / 1001, 60.0, 240.0, 999.0])
def test_a_whole_video_counts_as_whole(tmp_path: Path, rate: float) -> None:
    assert write_video(tmp_path / "a.mp4", frames(5), rate) == (5, False)
    assert len(list(VideoReader(tmp_path / "a.mp4"))) == 5


@pytest.mark.parametrize("kind", [*WRITERS, *IN_FOLDERS])
def test_the_files_of_an_image(tmp_path: Path, kind: str) -> None:
    options = PredictionOptions(intrinsics=[0.58, 1.92, 0.5, 0.5])
    writer = PredictionWriter(options, [kind], "weights_3", max_depth=100.0)
    path = file_of(kind, tmp_path / "a")
    rays = np.stack([0 * VALUES[0], 0 * VALUES[0], 1 + 0 * VALUES[0]]) if kind == "rays" else None
    writer.save(tmp_path / "a", NOISE, VALUES[0], rays)
    older = path.read_bytes()
    with room_for(len(older) - 1), pytest.raises(UserError, match="cannot be written"):
        writer.save(tmp_path / "a", NOISE, VALUES[0], rays)
    assert path.read_bytes() == older and not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_frames_of_a_video(tmp_path: Path, extension: str) -> None:
    write_video(tmp_path / "a.mp4", frames(3), 25.0)
    (tmp_path / "out").mkdir()
    _write_frames(tmp_path / "a.mp4", tmp_path / "out", extension)
    size = max(file.stat().st_size for file in (tmp_path / "out").iterdir())
    with room_for(size - 1), pytest.raises(OSError, match="File too large"):
        _write_frames(tmp_path / "a.mp4", tmp_path / "out", extension)


def test_the_upload(tmp_path: Path) -> None:
    with room_for(2000), pytest.raises(UserError, match="cannot be written"):
        upload(tmp_path / "upload")
    assert list(tmp_path.iterdir()) == []
