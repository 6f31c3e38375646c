"""Tiny folders of a user's own images for tests."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from core.files.video import quiet_cv2
from tests.core.kitti_folder import noise

HEIGHT, WIDTH = 48, 96


def write_images(
    folder: Path, names: Iterable[str], seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """Writes noise under these file names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(noise(*size, seed + number)).save(folder / name)
    return folder


def numbered(numbers: Iterable[int], extension: str = "png") -> list[str]:
    """`000007.png`, …"""
    return [f"{number:06d}.{extension}" for number in numbers]


def write_video(path: Path, frames: int = 6, rate: float = 12.5) -> Path:
    """A video of a pattern that moves."""
    cv2 = quiet_cv2()  # OpenCV takes its settings with the first video, also for tests that come later
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (WIDTH, HEIGHT))
    wide = noise(HEIGHT, WIDTH + 4 * frames, 5)
    for frame in range(frames):
        writer.write(np.ascontiguousarray(wide[:, 4 * frame : 4 * frame + WIDTH]))
    writer.release()
    return path


def write_timed_video(path: Path, durations: Iterable[tuple[int, int]]) -> Path:
    """An `.mp4` of a pattern, whose frames last as its table of times says.

    Args:
        durations: how many frames last how long, in 10240ths of a second.
    """
    from core.files.video import write_video as write_mp4

    durations = list(durations)
    count = sum(frames for frames, _ in durations)
    wide = noise(HEIGHT, WIDTH + 4 * count, 5)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, (wide[:, 4 * n : 4 * n + WIDTH] for n in range(count)), 10)
    data = path.read_bytes().replace(b"edts", b"free")  # an edit list would cut what lasts longer
    start = data.index(b"stts") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    rows = np.array(durations, ">u4").tobytes()
    table = (
        (16 + len(rows)).to_bytes(4, "big") + b"stts" + bytes(4) + len(durations).to_bytes(4, "big") + rows
    )
    whole = bytearray(data[:start] + table + data[start + size :])
    for box in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):  # each holds the next
        at = data.index(box) - 4
        whole[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(table) - size).to_bytes(4, "big")
    path.write_bytes(whole)
    return path
