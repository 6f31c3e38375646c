"""Videos become folders of images once, so that everything else reads images."""

from contextlib import closing
from itertools import accumulate, pairwise
from pathlib import Path

from core.datasets.frame_names import counted_steps, natural_key
from core.datasets.sequences import folders_below
from core.errors import UserError
from core.files import plain_yaml
from core.files.inputs import OUTPUTS, VIDEO_EXTENSIONS
from core.files.video import VideoReader
from core.files.whole import write_folder_atomically, write_yaml

RECORD = "video.yaml"  # in the folder of frames: where they come from, and how many there were each second
JPEG_QUALITY = 95
SAME_RATE = 0.01  # of the rate: what clocks round
LEAST_SHARE = 0.9  # of the frames that the file promises; some kinds of file promise a few too many


def is_video(path: Path) -> bool:
    """Whether a path is a video file, by its extension."""
    return path.suffix.lower() in VIDEO_EXTENSIONS and path.is_file()


def frames_folder(video: Path) -> Path:
    """Where the frames of a video lie: `drive.mp4` → `drive_frames`."""
    return video.with_name(f"{video.stem}_frames")


def video_folder(data_path: Path) -> Path:
    """The folder of images that a path names: itself, or where the frames of a video lie.

    Raises:
        UserError: the frames of the video are not there.
    """
    if not is_video(data_path):
        return data_path
    folder = frames_folder(data_path)
    if not folder.is_dir():
        raise UserError(f"{data_path}: its frames are not there; run make_split.py --data_path {data_path}")
    return folder


def extract_videos(data_path: Path, png: bool = False) -> list[str]:
    """Writes the frames of a video, or of all videos in a folder, beside them; those already there are kept.

    What predict.py wrote into that folder is no video of it.

    Returns:
        What was done, a line for each video.

    Raises:
        UserError: a video is damaged, or its folder belongs to another one.
    """
    if is_video(data_path):
        videos = [data_path]
    else:
        files = [file for folder in folders_below(data_path) for file in folder.iterdir() if is_video(file)]
        files = [file for file in files if not file.name.endswith(OUTPUTS)]
        videos = sorted(files, key=lambda file: natural_key(str(file)))
    return [_extract(video, frames_folder(video), png) for video in videos]


def frame_rate(folder: Path) -> float | None:
    """Frames per second of the video that a folder of images comes from; None where it does not."""
    record = _read_record(folder)
    rate = record.get("frames_per_second")
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def _extract(video: Path, folder: Path, png: bool) -> str:
    if folder.is_dir():
        if _read_record(folder).get("video") != video.name:
            raise UserError(f"{folder}: not the frames of {video}; rename the video or the folder")
        return f"{video}: its frames are already in {folder}"
    count, rate, holes = 0, 0.0, ""

    def fill(temporary: Path) -> None:
        nonlocal count, rate, holes
        times, stated = _write_frames(video, temporary, ".png" if png else ".jpg")
        numbers, rate = _timed(times, stated)
        count, holes = len(numbers), _describe_holes(numbers, times)
        _rename(temporary, ".png" if png else ".jpg", numbers)
        record = {"video": video.name, "frames": count, "frames_per_second": round(rate, 4)}
        write_yaml(temporary / RECORD, record)

    write_folder_atomically(folder, fill)
    return f"{video}: {count} frames, {rate:.6g} per second, written to {folder}{holes}"


def _timed(times: list[float], stated: float) -> tuple[list[int], float]:
    """The number of each frame, with a hole where the next one came later than usual, and frames per second.

    Args:
        times: of the frames, seconds; they count for nothing unless they ascend.
        stated: frames per second as the file says, which is the mean of all: one hole makes it wrong.
    """
    steps = [after - before for before, after in pairwise(times)]
    if not steps or min(steps) <= 0:
        return list(range(len(times))), stated
    usual = sorted(steps)[(len(steps) - 1) // 2]
    counted = [counted_steps(step, usual) for step in steps]
    single = [step for step, count in zip(steps, counted, strict=True) if count == 1]
    rate = len(single) / sum(single)
    return list(accumulate(counted, initial=0)), stated if abs(rate / stated - 1) < SAME_RATE else rate


def _describe_holes(numbers: list[int], times: list[float]) -> str:
    """Where frames are no neighbours, for the user; nothing where all are."""
    holes = [n for n, (before, after) in enumerate(pairwise(numbers)) if after - before > 1]
    if not holes:
        return ""
    longest = max(holes, key=lambda n: times[n + 1] - times[n])
    many, seconds = "s" if len(holes) > 1 else "", times[longest + 1] - times[longest]
    return (
        f"; its times have {len(holes)} hole{many}, the longest after frame {numbers[longest]} ({seconds:.3g} s): "
        "frames across a hole are no neighbours"
    )


def _rename(folder: Path, extension: str, numbers: list[int]) -> None:
    """Gives the counted files their numbers, the last one first, for none is smaller than the count."""
    for count, number in reversed(list(enumerate(numbers))):
        if number != count:
            (folder / f"{count:06d}{extension}").rename(folder / f"{number:06d}{extension}")


def _write_frames(video: Path, folder: Path, extension: str) -> tuple[list[float], float]:
    """The time of each frame written, seconds, and frames per second as the file says."""
    from PIL import Image
    from tqdm import tqdm

    from core.files.images import encoded

    reader = VideoReader(video)
    times: list[float] = []
    with closing(reader):
        for frame in tqdm(reader, desc=video.name, total=reader.length, unit="frame", disable=None):
            content = encoded(Image.fromarray(frame), extension, quality=JPEG_QUALITY)
            (folder / f"{len(times):06d}{extension}").write_bytes(content)
            times.append(reader.time)
    count = len(times)
    if count < LEAST_SHARE * (reader.length or 0):
        raise UserError(
            f"{video}: damaged: {count} of its {reader.length} frames can be read; copy or convert it again"
        )
    return times, reader.frame_rate


def _read_record(folder: Path) -> dict[str, object]:
    try:
        record = plain_yaml.read(folder / RECORD)
    except UserError:
        return {}
    return record if isinstance(record, dict) else {}
