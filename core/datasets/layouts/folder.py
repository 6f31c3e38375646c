"""A user's own images: a folder of sequences, each of one camera or of a stereo pair, or the frames of a video."""

from pathlib import Path

from core.datasets.camera import Camera, choose_camera, estimated_camera, thousand_pixels
from core.datasets.known_poses import Intrinsics, KnownMotion, file_motion
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.sequences import ImageSequence, file_numbers, named_sequences, read_sequence, sizes_of
from core.datasets.splits import CAMERAS, LEFT, LISTS, RIGHT, SplitLine
from core.datasets.videos import frame_rate, is_video, video_folder
from core.errors import UserError
from core.options.base import is_name_format
from core.options.needs import Listing, Needs
from core.plausibility.cameras import check_sequence

POSES_FILE = "poses.txt"


def all_frames(data_path: Path) -> list[SplitLine]:
    """The lines of a whole video, a file or a folder of images: each frame but the last, of its only or left camera.

    Raises:
        UserError: no such video, or less than two images.
    """
    folder = video_folder(data_path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder or video; check --data_path")
    frames = list(read_sequence(folder).cameras[LEFT])
    if len(frames) < 2:
        raise UserError(f"{folder}: one image makes no path; check --data_path")
    return [SplitLine(".", frame) for frame in frames[:-1]]


class FolderDataset(SequenceDataset):
    """Lines are `<sequence> <frame> <side>`, as make_split.py writes them; see `core/datasets/sequences.py`.

    The sequence is a folder below the root (`.` is the root itself), the frame the number in the file's name.
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
        used: dict[str, dict[Path, None]] = {}
        for line in self.lines:
            files = used.setdefault(line.folder, {self.sequences[line.folder].first_image(): None})
            files |= dict.fromkeys(self.image_file(line, frame) for frame in self.frames)
        for name, files in used.items():
            check_sequence(self.sequences[name].folder, sizes_of(files))

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
        stems = {frame: path.stem for frame, path in sequence.cameras[LEFT].items()}
        numbers = file_numbers(set(stems.values()))
        frames = {frame: numbers.get(stem) for frame, stem in stems.items()}
        return file_motion(sequence.folder / POSES_FILE, frames, baseline)

    def _needs_right(self, folder: str) -> bool:
        """Whether the lines of a sequence need the right camera."""
        sides = {line.side or "l" for line in self.lines if line.folder == folder}
        return "s" in self.frames or any(CAMERAS.get(side) == RIGHT for side in sides)
