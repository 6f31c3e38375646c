"""Videos read and written, whole, damaged and interrupted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.files.video import VideoReader, write_video

HEIGHT, WIDTH, RATE = 47, 99, 12.5


def frames(count: int) -> Iterator[np.ndarray]:
    """Grey frames with a red square that moves to the right."""
    for number in range(count):
        frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        frame[10:30, 4 * number : 4 * number + 20] = 220, 30, 30
        yield frame


def read(path: Path) -> list[np.ndarray]:
    return list(VideoReader(path))


def test_what_is_written_is_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert write_video(tmp_path / "new" / "a.mp4", frames(8), RATE) == (8, False)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]
    reader = VideoReader(tmp_path / "new" / "a.mp4")
    assert (reader.frame_rate, reader.length) == (RATE, 8)
    found = list(reader)
    assert len(found) == 8 and {frame.shape for frame in found} == {(HEIGHT + 1, WIDTH + 1, 3)}
    for frame, expected in zip(found, frames(8), strict=True):
        assert np.abs(frame[:HEIGHT, :WIDTH].astype(int) - expected).mean() < 6  # the codec loses a little
        assert np.abs(frame[HEIGHT].astype(int) - frame[HEIGHT - 1]).mean() < 6  # the odd row is repeated
    assert capfd.readouterr() == ("", "")


def test_interrupted(tmp_path: Path) -> None:
    """The frames before Ctrl-C are a whole video; before the first there is none."""

    def until(count: int) -> Iterator[np.ndarray]:
        yield from frames(count)
        raise KeyboardInterrupt

    assert write_video(tmp_path / "a.mp4", until(3), RATE) == (3, True)
    assert len(read(tmp_path / "a.mp4")) == 3
    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "b.mp4", until(0), RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_error_leaves_the_older_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames(2), RATE)
    before = (tmp_path / "a.mp4").read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield from frames(3)
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        write_video(tmp_path / "a.mp4", broken(), RATE)
    assert (tmp_path / "a.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_video(tmp_path / "file" / "a.mp4", frames(2), RATE)


def damage(path: Path) -> dict[str, bytes]:
    whole = path.read_bytes()
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    pieces = b"ffconcat version 1.0\nfile '" + str(path).encode() + b"'\n"
    return {
        "empty": b"",
        "text": b"no video",
        "half": whole[: len(whole) // 2],
        "start": whole[:40],
        "noise": np.random.default_rng(0).bytes(4000),
        "playlist": playlist,
        "pieces": pieces,
    }


def test_damaged_or_no_video(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "whole.mp4", frames(8), RATE)
    for name, content in damage(tmp_path / "whole.mp4").items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}\.mp4: damaged, empty or not a video"):
            VideoReader(path)
    assert capfd.readouterr() == ("", "")  # no complaints of the libraries below


def test_a_damaged_end(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "a.avi"
    rng = np.random.default_rng(0)  # noise, so that frames and not headers fill the file
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (100, 100))
    for _ in range(8):
        writer.write(rng.integers(0, 256, (100, 100, 3), np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = VideoReader(path)
    assert 0 < len(list(reader)) < (reader.length or 0) == 8


def test_no_camera() -> None:
    with pytest.raises(UserError, match="webcam:99: no such camera"):
        VideoReader(99)
