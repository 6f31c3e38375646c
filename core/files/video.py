"""Videos and cameras, frame by frame, through OpenCV."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.files.whole import write_atomically

CODEC = "mp4v"  # the one for .mp4 that OpenCV's wheels bring; H.264 is not among them
DEFAULT_FRAME_RATE = 25.0  # of cameras that state none
_WHOSE = b"self-supervised monocular depth"
MARK = (8 + len(_WHOSE)).to_bytes(4, "big") + b"free" + _WHOSE  # a last box, which players pass over


class VideoReader:
    """The frames of a video file or a camera: `for frame in VideoReader(path)` gives uint8 (H, W, 3) RGB.

    Attributes:
        frame_rate: frames per second, as the source states it.
        length: frames that the file announces, perhaps wrongly; None for a camera or where it says nothing.
        time: of the frame that was given last, seconds as the file says; 0 where it says nothing.

    Raises:
        UserError: no such camera, or no video with at least one readable frame.
    """

    def __init__(self, source: Path | int) -> None:
        """Opens a file, or the camera of that number, and reads the first frame."""
        self.name = f"webcam:{source}" if isinstance(source, int) else str(source)
        self._capture, self.time = _open(source), 0.0
        first = self._read() if self._capture.isOpened() else None
        if first is None:
            self.close()
            raise UserError(
                f"{self.name}: no such camera, or another program uses it; the first is webcam:0"
                if isinstance(source, int)
                else f"{self.name}: damaged, empty or not a video that OpenCV reads; convert it, such as to .mp4"
            )
        self._first: np.ndarray = first
        cv2 = quiet_cv2()
        rate, length = (self._capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.frame_rate = float(rate) if 0 < rate < 1000 else DEFAULT_FRAME_RATE
        self.length = int(length) if length > 0 and not isinstance(source, int) else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, once.

        Raises:
            UserError: a frame is of another size than the first.
        """
        frame: np.ndarray | None = self._first
        while frame is not None:
            if frame.shape != self._first.shape:
                raise UserError(f"{self.name}: its frames change their size; convert it to one size")
            yield frame
            frame = self._read()

    def close(self) -> None:
        """Lets go of the file or camera."""
        self._capture.release()

    def _read(self) -> np.ndarray | None:
        found, frame = self._capture.read()
        self.time = self._capture.get(quiet_cv2().CAP_PROP_POS_MSEC) / 1000
        return np.ascontiguousarray(frame[:, :, ::-1]) if found else None


def quiet_cv2() -> Any:
    """OpenCV, without its complaints on stderr: what a user must know is said once, by us."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # A file may be a playlist that names addresses; only files are read.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _open(source: Path | int) -> Any:
    cv2 = quiet_cv2()
    if isinstance(source, int):
        return cv2.VideoCapture(source)
    return cv2.VideoCapture(str(source), cv2.CAP_FFMPEG)  # no other reader: OpenCV would try them all


def write_video(path: Path, frames: Iterable[np.ndarray], frame_rate: float) -> tuple[int, bool]:
    """Writes an `.mp4`, which is there, whole, only at the end. Ctrl-C ends it after the frames so far.

    Args:
        frames: uint8 (H, W, 3) RGB, all of one size, at least one.
        frame_rate: frames per second.

    Returns:
        The number of frames, and whether Ctrl-C ended it.

    Raises:
        UserError: the file cannot be written, or has not all frames.
        KeyboardInterrupt: before the first frame; then nothing is written.
    """
    count, interrupted = 0, False

    def write(temporary: Path) -> None:
        nonlocal count, interrupted
        writer = None
        try:
            for frame in frames:
                writer = writer or _open_writer(temporary, frame, frame_rate)
                writer.write(np.ascontiguousarray(_even(frame)[:, :, ::-1]))
                count += 1
        except KeyboardInterrupt:
            if count == 0:
                raise
            interrupted = True
        finally:
            if writer is not None:
                writer.release()
                if _holds(temporary, count):
                    _append(temporary, MARK)

    write_atomically(path, write, is_marked)
    return count, interrupted


def _holds(path: Path, count: int) -> bool:
    """Whether an `.mp4` is whole, and so many frames can be read from it: its writer says nothing of a full disk."""
    if not _boxes_fit(path):
        return False
    reader = _open(path)
    try:
        return reader.isOpened() and all(reader.grab() for _ in range(count))
    finally:
        reader.release()


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def is_marked(path: Path) -> bool:
    """Whether a video was written by `write_video`."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(MARK)))
        return file.read() == MARK


def _boxes_fit(path: Path) -> bool:
    """Whether the boxes that an `.mp4` consists of end where it ends; each says its length, in 4 bytes or in 8 more."""
    end, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place < end:
            file.seek(place)
            head = file.read(16)
            short, long = int.from_bytes(head[:4], "big"), int.from_bytes(head[8:], "big")
            length = long if short == 1 else short
            if length < 8:
                return False
            place += length
    return 0 < end == place


def _even(frame: np.ndarray) -> np.ndarray:
    """Repeats the last row and column where their number is odd: the codec would cut them off."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")


def _open_writer(path: Path, frame: np.ndarray, frame_rate: float) -> Any:
    cv2 = quiet_cv2()
    height, width = _even(frame).shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODEC), frame_rate, (width, height))
    if not writer.isOpened():
        raise UserError(f"{path.parent}: OpenCV cannot write a video of {width}x{height} ({CODEC}) there")
    return writer
