"""Split lists for a user's own images: what can be trained on, and what is held out for validation."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.cores import available_cores
from core.datasets.frame_names import natural_key
from core.datasets.motion import motion
from core.datasets.sequences import STEREO_FOLDERS, ImageSequence
from core.datasets.splits import SIDES, SplitLine, other_camera
from core.errors import UserError
from core.files.whole import add_files_atomically, write_folder_atomically, write_text

STATIC_WIDTH = 640  # the threshold of motion is in pixels of an image of this width
Frames = dict[tuple[str, int], list[int]]  # the frames of each (sequence, camera), ascending


@dataclass(frozen=True)
class OwnSplit:
    """The lists, and why images are not in them.

    Attributes:
        train, val: lines.
        images: how many there are.
        without_neighbours: left out because a source is missing: ends, gaps, no other camera.
        static: left out because the camera stood still.
        between: left out so that training and validation share no image.
    """

    train: list[SplitLine]
    val: list[SplitLine]
    images: int
    without_neighbours: int
    static: int
    between: int

    def describe(self) -> str:
        """One line for the user."""
        return (
            f"{self.images} images: {len(self.train)} for training, {len(self.val)} for validation; left out: "
            f"{self.without_neighbours} without neighbours (ends, gaps), {self.static} static, "
            f"{self.between} between training and validation"
        )

    def write(self, folder: Path, force: bool = False) -> None:
        """Writes `train_files.txt` and `val_files.txt`, both or none.

        Args:
            force: lists that are there already are replaced; other files beside them stay.

        Raises:
            UserError: the folder exists already, or cannot be written.
        """
        require_free(folder, force)

        def fill(temporary: Path) -> None:
            for part, lines in (("train", self.train), ("val", self.val)):
                write_text(temporary / f"{part}_files.txt", "".join(f"{line}\n" for line in lines))

        if folder.is_dir():
            add_files_atomically(folder, fill)
        else:
            write_folder_atomically(folder, fill)


def require_free(folder: Path, force: bool) -> None:
    """Raises UserError if a folder of lists is there already and must not be replaced, or is a file."""
    if folder.exists() and not (force and folder.is_dir()):
        raise UserError(
            f"{folder}: is already there; remove it or choose another --output, or replace its lists with --force"
        )


def make_split(
    sequences: Mapping[str, ImageSequence],
    frame_ids: Sequence[int],
    use_stereo: bool,
    validation_share: float,
    skip_static: float = 0.0,
    measure: Callable[[Path, Path], float] = motion,
) -> OwnSplit:
    """Chooses the lines of own sequences.

    Neighbouring frames are nearly the same image, so validation is no random draw of frames: with at least
    1 / share sequences whole ones are held out, chosen by the digest of their names; with fewer the end of each.

    Args:
        sequences: by name, from `find_sequences`.
        frame_ids: 0, then the offsets of the sources, all of which must exist.
        use_stereo: the other camera must exist too.
        validation_share: of the frames, above 0.
        skip_static: leave out a frame if the motion to one of its sources is less than so many pixels of an
            image 640 wide; 0 keeps all.
        measure: that motion as a share of the width, of two files.

    Raises:
        UserError: nothing is left for one of the lists.
    """
    there = {
        (name, camera): list(images) for name, s in sequences.items() for camera, images in s.cameras.items()
    }
    usable = {
        (name, camera): [f for f in frames if _has_sources(sequences[name], camera, f, frame_ids, use_stereo)]
        for (name, camera), frames in there.items()
    }
    moving = usable
    if skip_static > 0:
        moving = _moving(sequences, usable, frame_ids, skip_static / STATIC_WIDTH, measure)
    train, val = _hold_out(moving, validation_share, max(frame_ids) - min(frame_ids))
    split = OwnSplit(
        train=_lines(sequences, train),
        val=_lines(sequences, val),
        images=_count(there),
        without_neighbours=_count(there) - _count(usable),
        static=_count(usable) - _count(moving),
        between=_count(moving) - _count(train) - _count(val),
    )
    if not split.train or not split.val:
        cure = "add images, or change --frame_ids, --use_stereo, --validation_share or --skip_static"
        if use_stereo and not any(sequence.is_stereo for sequence in sequences.values()):
            pairs = ", ".join(f"{left} and {right}" for left, right in STEREO_FOLDERS)
            cure = f"--use_stereo needs sequences of two cameras, but none has folders {pairs}"
        raise UserError(f"too few images for both lists ({split.describe()}); {cure}")
    return split


def _count(frames: Frames) -> int:
    return sum(map(len, frames.values()))


def _has_sources(
    sequence: ImageSequence, camera: int, frame: int, frame_ids: Sequence[int], use_stereo: bool
) -> bool:
    in_time = all(frame + offset in sequence.cameras[camera] for offset in frame_ids)
    return in_time and (not use_stereo or frame in sequence.cameras.get(other_camera(camera), {}))


def _moving(
    sequences: Mapping[str, ImageSequence],
    frames: Frames,
    frame_ids: Sequence[int],
    least: float,
    measure: Callable[[Path, Path], float],
) -> Frames:
    """The frames whose motion to each of their sources in time is at least so large; each pair is looked at once."""
    from tqdm import tqdm

    def pairs(name: str, camera: int, frame: int) -> list[tuple[Path, Path]]:
        images = sequences[name].cameras[camera]
        numbers = [(min(frame, frame + offset), max(frame, frame + offset)) for offset in frame_ids if offset]
        return [(images[one], images[other]) for one, other in numbers]

    wanted = dict.fromkeys(
        pair for key, all_ in frames.items() for frame in all_ for pair in pairs(*key, frame)
    )
    with ThreadPoolExecutor(available_cores()) as pool:
        found = pool.map(lambda pair: measure(*pair) >= least, wanted)
        moves = dict(
            zip(wanted, tqdm(found, total=len(wanted), desc="motion", unit="pair", disable=None), strict=True)
        )
    return {
        key: [frame for frame in all_ if all(moves[pair] for pair in pairs(*key, frame))]
        for key, all_ in frames.items()
    }


def _hold_out(frames: Frames, share: float, reach: int) -> tuple[Frames, Frames]:
    """(train, val): whole sequences, or the end of each one.

    Args:
        reach: the images of a sample span so many frames; at the end of a sequence as many are left out between.
    """
    of_sequence: dict[str, set[int]] = {}
    for (name, _), numbers in frames.items():
        if numbers:
            of_sequence.setdefault(name, set()).update(numbers)
    if len(of_sequence) >= 1 / share:
        held = _whole_sequences({name: len(numbers) for name, numbers in of_sequence.items()}, share)
        return (
            {key: numbers for key, numbers in frames.items() if key[0] not in held},
            {key: numbers for key, numbers in frames.items() if key[0] in held},
        )
    train, val = {}, {}
    for key, numbers in frames.items():
        ordered = sorted(of_sequence.get(key[0], []))
        first = ordered[-n] if (n := round(share * len(ordered))) else max(ordered, default=0) + reach + 1
        train[key] = [frame for frame in numbers if frame < first - reach]
        val[key] = [frame for frame in numbers if frame >= first]
    return train, val


def _whole_sequences(lengths: Mapping[str, int], share: float) -> set[str]:
    """Sequences in the order of their digests until their frames make up the share; none of twice its size."""
    wanted = share * sum(lengths.values())
    held: set[str] = set()
    for name in sorted(lengths, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if sum(lengths[other] for other in held) < wanted and lengths[name] <= 2 * wanted:
            held.add(name)
    return held or {min(lengths, key=lambda name: lengths[name])}


def _lines(sequences: Mapping[str, ImageSequence], frames: Frames) -> list[SplitLine]:
    rows = [(name, frame, camera) for (name, camera), numbers in frames.items() for frame in numbers]
    rows.sort(key=lambda row: (natural_key(row[0]), *row[1:]))
    return [SplitLine(name, sequences[name].number_of(frame), SIDES[camera]) for name, frame, camera in rows]
