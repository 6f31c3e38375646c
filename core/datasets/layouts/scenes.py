"""Folders of scenes with `cam.txt`, `training/<scene>/`; see `core/datasets/scene_folders.py`."""

from pathlib import Path

import numpy as np

from core.datasets.depth_files import PNG_UNITS, read_depth
from core.datasets.known_poses import Intrinsics
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.scene_folders import (
    CAMERA_FILE,
    DEPTH_FOLDER,
    Scene,
    read_scenes,
    scene_list,
    target_positions,
    training_folder,
)
from core.datasets.splits import LEFT, SplitLine
from core.errors import UserError
from core.options.needs import Listing, Needs


class Scenes(SequenceDataset):
    """Lines are made from the list of scenes: the scene, and the position of the target among its frames.

    Frames are the images of a scene sorted by name, or those that its index names. The name of a list of
    another data set counts for nothing as a split; see `core.datasets.scene_folders.scene_list`.
    """

    takes_split = False
    DEPTHS = ("kitti", "ddad", "nyu", "bonn", "tum", "scannet")

    @classmethod
    def split_lines(cls, listing: Listing, part: str, needs: Needs) -> tuple[list[SplitLine], list[str]]:
        """Every target whose sources exist, scene by scene; where there are no sources, every frame with a depth map.

        All frames where none has one, or a file of ground truth is given.
        """
        if "s" in needs.frames:
            raise UserError("--dataset scenes: a scene has one camera; leave out --use_stereo")
        folder = training_folder(Path(listing.path))
        file = scene_list(folder, listing.split, part)
        scenes = {name: Scene.read(folder / name, listing.frame_index) for name in read_scenes(file, folder)}
        frames = [int(frame) for frame in needs.frames]
        lines = [
            SplitLine(name, target)
            for name, scene in scenes.items()
            for target in target_positions(len(scene.images), frames)
        ]
        lacking = {name: len(scene.images) for name, scene in scenes.items()}
        for line in lines:
            lacking.pop(line.folder, None)
        if not lines:
            raise UserError(
                f"{file}: {_too_short(lacking, len(scenes), frames)}; take nearer frames, or longer scenes"
            )
        if not needs.sources and listing.ground_truth is None:
            measured = [line for line in lines if scenes[line.folder].depth_path(line.frame)]
            lines = measured or lines
        notes = [f"{file}: {len(scenes)} scenes, {len(lines)} samples"]
        if lacking:
            notes.append(f"{file}: {_too_short(lacking, len(scenes), frames)}; they give no samples")
        return lines, notes + _oddities(scenes)

    # --- images ---

    def _open(self, png: bool | None) -> None:
        """Reads the names of all images of the lines' scenes, and their cameras where K is needed."""
        folder = training_folder(self.root)
        self.scenes = {
            name: Scene.read(folder / name, self.listing.frame_index)
            for name in dict.fromkeys(line.folder for line in self.lines)
        }
        self._intrinsics: dict[str, Intrinsics] = {}
        first = self.image_path(self.lines[0], 0)
        if not first.is_file():
            raise UserError(f"{first}: no such image; check --data_path")
        for line in self.lines if self.needs.intrinsics else ():
            self.intrinsics(line)
        path = self.scenes[self.lines[0].folder].depth_path(self.lines[0].frame)
        if path is not None and self._has_no_unit(path, self.DEPTHS[0]):
            self.notes.append(f"{path}: the unit of depth in a .png is not known, so there is no true depth")

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame; where there is none, a path that says so."""
        if frame == "s":
            raise UserError("--dataset scenes: a scene has one camera; leave out --use_stereo")
        scene, number = self.scenes[line.folder], self.moment(line, frame)[0]
        if not 0 <= number < len(scene.images):
            return scene.folder / f"(frame {number} of {len(scene.images)})"
        return scene.images[number]

    def check_files(self) -> None:
        """Makes sure that the files are there, see `SequenceDataset.check_files`, and of one shape in each scene."""
        super().check_files()
        if not self.needs.intrinsics:
            return
        self._check_shapes({name: (scene.folder, scene.images[0]) for name, scene in self.scenes.items()})

    def camera_number(self, line: SplitLine) -> int:
        """There is one camera."""
        return LEFT

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        line = self.lines[index]
        return f"sample {index + 1} (scene {line.folder}, frame {line.frame})"

    def _cure(self, index: int) -> str:
        return f"{self.describe(index)} needs it"

    # --- the camera ---

    def intrinsics(self, line: SplitLine) -> Intrinsics:
        """fx, fy, cx, cy in units of the image size, of the scene's `cam.txt`."""
        if line.folder not in self._intrinsics:
            self._intrinsics[line.folder] = self.scenes[line.folder].intrinsics()
        return self._intrinsics[line.folder]

    def K_source(self, line: SplitLine) -> str:  # noqa: N802
        """Where the intrinsics come from."""
        return str(self.scenes[line.folder].folder / CAMERA_FILE)

    # --- depth ---

    def depth_file(self, line: SplitLine, kind: str) -> Path | None:
        """In `depth/` the name of the image, where there is none with the extension that is usual for this depth."""
        image = self.image_path(line, 0)
        usual = image.parent / DEPTH_FOLDER / f"{image.stem}{'.png' if kind in PNG_UNITS else '.npz'}"
        return self.scenes[line.folder].depth_path(line.frame) or usual

    def measured_depth(self, line: SplitLine, kind: str) -> np.ndarray | None:
        """The map in `depth/` under the name of the image; `kind` says the unit of a `.png`."""
        path = self.scenes[line.folder].depth_path(line.frame)
        return None if path is None or self._has_no_unit(path, kind) else read_depth(path, kind)

    def _has_no_unit(self, path: Path, kind: str) -> bool:
        """Whether nobody has said whose `.png` it is; if it was said wrongly, reading it says so."""
        said = self.listing.depth is not None or self.input_depth == kind
        return path.suffix.lower() == ".png" and kind not in PNG_UNITS and not said


def _too_short(lacking: dict[str, int], scenes: int, frames: list[int]) -> str:
    """What is wrong with scenes, by their number of frames."""
    least = max(len(frames) + 1, max(frames) - min(frames) + 1)
    longest = max(lacking, key=lambda name: lacking[name])
    return (
        f"{len(lacking)} of {scenes} scenes have too few frames for samples of {' '.join(map(str, frames))}, which "
        f"take {least} (the longest, {longest}, has {lacking[longest]})"
    )


def _oddities(scenes: dict[str, Scene]) -> list[str]:
    """What is probably not meant."""
    notes = []
    for name, scene in scenes.items():
        if not scene.is_padded:
            notes.append(
                f"scene {name}: sorted by name its images are not in the order of their numbers; rename them "
                "with zeros in front (0009 before 0010)"
            )
            break
    for name, scene in scenes.items():
        if scene.depths and not any(scene.depth_path(frame) for frame in range(len(scene.images))):
            notes.append(f"scene {name}: no map in {DEPTH_FOLDER} has the name of an image, so none is used")
            break
    return notes
