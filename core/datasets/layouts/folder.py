"""A user's own images: a folder of sequences, each of one camera or of a stereo pair, or the frames of a video."""

from pathlib import Path

import numpy as np

from core.datasets.camera import Camera, choose_camera, estimated_camera, thousand_pixels
from core.datasets.known_poses import Intrinsics, KnownMotion, file_motion, frames_of_rows
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.sequences import ImageSequence, named_sequences, read_sequence
from core.datasets.splits import CAMERAS, LEFT, LISTS, RIGHT, SplitLine
from core.datasets.videos import frame_rate, is_video, video_folder
from core.errors import UserError
from core.odometry.trajectories import Trajectory, read_trajectory
from core.options.base import is_name_format
from core.options.needs import Listing, Needs

POSES_FILE = "poses.txt"


def all_frames(data_path: Path) -> list[SplitLine]:
    """The lines of a whole video, a file or a folder of images: each frame but the last, of its only or left camera.

    Raises:
        UserError: no such video, or less than two images.
    """
    folder = video_folder(data_path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder or video; check --data_path")
    sequence = read_sequence(folder)
    frames = list(sequence.cameras[LEFT])
    if len(frames) < 2:
        raise UserError(f"{folder}: one image makes no path; check --data_path")
    return [SplitLine(".", sequence.number_of(frame)) for frame in frames[:-1]]


def own_sequence(data_path: Path, folder: str) -> ImageSequence:
    """The sequence of a line's folder.

    Raises:
        UserError: it is not there.
    """
    root = video_folder(data_path)
    return read_sequence(root if folder == "." else root / folder)


def own_truth(path: Path, sequence: ImageSequence, count: int) -> Trajectory:
    """The true poses of one's own images, by frame: rows are found as for training with known poses.

    Args:
        path: of the file.
        sequence: of the images.
        count: of the poses that it is compared with. As many rows of 12 numbers may be theirs alone.

    Raises:
        UserError: the file is missing or malformed, or it is not clear of which image a row is.
    """
    truth, numbers = read_trajectory(path), sequence.written_numbers()
    counts_from_0 = not sequence.numbers and list(numbers) == list(range(len(numbers)))
    if not truth.numbered and (counts_from_0 or len(truth.frames) == count != len(numbers)):
        return truth  # row n is frame n, however many there are
    frames = frames_of_rows(path, truth, numbers)
    known = [(frame, T) for frame, T in zip(frames, truth.T_world_camera, strict=True) if frame is not None]
    return Trajectory(np.array([frame for frame, _ in known]), np.stack([T for _, T in known]))


class FolderDataset(SequenceDataset):
    """Lines are `<sequence> <frame> <side>`, as make_split.py writes them; see `core/datasets/sequences.py`.

    The sequence is a folder below the root (`.` is the root itself), the frame the number in the file's name; the
    next frame is the next image, also where every fifth number has one. Where names have no such numbers, or none
    of ten digits, images are counted, see `core.datasets.frame_names.frame_numbers`.
    Where poses are known they are in `poses.txt` in the folder of the sequence.
    A video stands for the folder of its frames. The side of a single camera is l, or left out.

    In place of a list the split may be the form of the images' names, such as `{:010d}`: lines are then all images
    below the root that have such a name and whose sources have one, too.
    """

    @classmethod
    def split_lines(cls, listing: Listing, part: str, needs: Needs) -> tuple[list[SplitLine], list[str]]:
        """Those of the list; or, by the form of their names, all images whose sources are there."""
        if listing.split in LISTS and not Path(listing.split).exists():
            lists = video_folder(Path(listing.path)) / "splits"
            raise UserError(
                f"option split: {listing.split} lists frames of KITTI, not yours; with --dataset folder make lists by "
                f"make_split.py --data_path {listing.path}, and give --split {lists}"
            )
        if not is_name_format(listing.split):
            return super().split_lines(listing, part, needs)
        if "s" in needs.frames:
            raise UserError(f"split {listing.split!r}: names images of one camera; leave out --use_stereo")
        sequences = named_sequences(video_folder(Path(listing.path)), listing.split)
        frames = {name: sequence.cameras[LEFT] for name, sequence in sequences.items()}
        offsets = [int(frame) for frame in needs.frames]
        lines = [
            SplitLine(name, number)
            for name, images in frames.items()
            for number in images
            if all(number + offset in images for offset in offsets)
        ]
        total = sum(map(len, frames.values()))
        found = f"{listing.path}: {total} images named {listing.split!r}"
        if not lines:
            needed = " ".join(map(str, offsets))
            raise UserError(
                f"{found}, but none with all the frames {needed}; take nearer ones, or another form"
            )
        return lines, [f"{found}, {len(lines)} samples; {total - len(lines)} have no neighbours"]

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame; where there is none, a path that says so."""
        number, camera = self.moment(line, frame)
        sequence = self.sequences[line.folder]
        if camera not in sequence.cameras:
            raise UserError(
                f"{sequence.folder}: has one camera, but the split or --use_stereo asks for two; "
                "put the images of a stereo pair into folders left and right"
            )
        return sequence.cameras[camera].get(number, sequence.folder / f"(frame {number} of camera {camera})")

    def frame_of(self, line: SplitLine) -> int:
        """The counted frame of the number in a line."""
        sequence = self.sequences[line.folder]
        frame = sequence.frame_of(line.frame)
        if frame is None:
            first, *_, last = sorted(sequence.numbers.values())
            where = f"{line.origin}: " if line.origin else ""
            raise UserError(
                f"{where}{sequence.folder}: no image has the number {line.frame} in its name ({first} to {last}, "
                f"{len(sequence.numbers)} images); lists have the numbers in names, as make_split.py writes them"
            )
        return frame

    def camera_number(self, line: SplitLine) -> int:
        """The camera that took a line's target; a single one counts as the left one."""
        return LEFT if line.side is None else line.camera

    def camera(self, line: SplitLine) -> Camera:
        """The camera that took a line's images."""
        return self._cameras[line.folder]

    def frame_rate(self, line: SplitLine) -> float | None:
        """Frames per second of a line's sequence, where it was a video."""
        return frame_rate(self.sequences[line.folder].folder)

    def K_source(self, line: SplitLine) -> str:  # noqa: N802
        """Where the intrinsics come from."""
        return self.camera(line).source

    def _cure(self, index: int) -> str:
        cure = "make_split.py leaves out the ends of sequences and gaps"
        return f"{self.listed_as(index)} needs it; {cure}"

    def _find_root(self, data_path: Path) -> Path:
        self._top = data_path  # where the last `intrinsics.yaml` may lie
        if is_video(data_path):
            self._top = data_path.parent
        return video_folder(data_path)

    def _open(self, png: bool | None) -> None:
        """Reads the names of all images of the split's sequences; any extension will do."""
        names, by_form = {line.folder: None for line in self.lines}, is_name_format(self.listing.split)
        self.sequences: dict[str, ImageSequence] = (
            {
                name: one
                for name, one in named_sequences(self.root, self.listing.split).items()
                if name in names
            }
            if by_form
            else {name: read_sequence(self.root if name == "." else self.root / name) for name in names}
        )
        estimate = thousand_pixels if by_form else estimated_camera
        self._cameras = {
            name: choose_camera(
                sequence.folder, self._top, sequence.image_size(), self.given_intrinsics, estimate
            )
            for name, sequence in self.sequences.items()
        }
        first = self.image_path(self.lines[0], 0)
        if not first.is_file():
            raise UserError(f"{first}: no such image; check --data_path and --split")
        for sequence in self.sequences.values():
            self.notes += sequence.notes if "s" in self.frames else ()
        self._note_estimates()
        if "s" in self.frames:
            self._find_baseline()

    def _note_estimates(self) -> None:
        estimates = {
            name: camera.source for name, camera in self._cameras.items() if "estimate" in camera.source
        }
        if estimates and self.needs.intrinsics:
            first, source = next(iter(estimates.items()))
            more = f" and {len(estimates) - 1} more" if len(estimates) > 1 else ""
            self.notes.append(
                f"intrinsics of {first}{more}: {source}; better: --intrinsics, or intrinsics.yaml in the folder"
            )

    def _find_baseline(self) -> None:
        found = {camera.baseline for camera in self._cameras.values()}
        if len(found) > 1:
            raise UserError(
                f"{self.root}: the baselines in intrinsics.yaml differ ({', '.join(map(str, found))}); depth has one "
                "unit: train sequences of one baseline together"
            )
        self.baseline = found.pop()

    def check_files(self) -> None:
        """Makes sure that the files are there, see `SequenceDataset.check_files`, and of one shape in each sequence."""
        super().check_files()
        self._check_shapes({name: (one.folder, one.first_image()) for name, one in self.sequences.items()})

    def intrinsics(self, line: SplitLine) -> Intrinsics:
        """fx, fy, cx, cy in units of the image size."""
        return self.camera(line).intrinsics

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        sequence = self.sequences[line.folder]
        baseline = baseline or self.camera(line).baseline
        if baseline is None and self._needs_right(line.folder):
            raise UserError(
                f"{sequence.folder / POSES_FILE}: has the poses of the left camera; for the right one, give --baseline "
                "METRES, or baseline in intrinsics.yaml"
            )
        return file_motion(sequence.folder / POSES_FILE, sequence.written_numbers(), baseline)

    def _needs_right(self, folder: str) -> bool:
        """Whether the lines of a sequence need the right camera."""
        sides = {line.side or "l" for line in self.lines if line.folder == folder}
        return "s" in self.frames or any(CAMERAS.get(side) == RIGHT for side in sides)
