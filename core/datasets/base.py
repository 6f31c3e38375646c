"""What all data sets of image sequences share: the draws, the images and their memory, the sample dict."""

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets.augmentation import Augmentation, draw
from core.datasets.bad_images import BadImages
from core.datasets.known_poses import Intrinsics, KnownMotion, MissingPoseError, Move, check_moves
from core.datasets.sample import Frame, Sample, augmented_key, image_key, motion_key
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.images import BadImageError, load_image, pyramid, resize, to_array
from core.geometry import mirror_intrinsics, mirror_motion, relative_intrinsics, stereo_transform

SAMPLE_STREAM = 1  # keeps the draws of the samples apart from those of their order (core/datasets/loader.py)


class SequenceDataset(ABC):
    """Samples (see `core/datasets/sample.py`) of the lines of a split.

    `dataset[(epoch, index)]` depends on the seed, the epoch and the index only, never on the worker or on
    what was loaded before. Safe to use from several threads.

    Attributes:
        K_is_its_mirror: mirroring an image leaves K as it is (KITTI, whose nominal K is centred on purpose).
        baseline: metres between the cameras of a stereo pair; None where it is not known.
        metres_per_unit: of the known motions in the samples; None where the motion is not known.
        notes: what the user should know of how the data were read, a line each.
    """

    K_is_its_mirror = False
    baseline: float | None = None
    metres_per_unit: float | None = None

    def __init__(
        self,
        data_path: str | Path,
        lines: list[SplitLine],
        frames: list[Frame],
        height: int,
        width: int,
        scales: list[int],
        png: bool | None,
        augment: bool,
        seed: int,
        all_scales: bool = False,
        with_depth: bool = False,
        cache_images: int = 0,
        bad_images: str = "fail",
        mirroring: bool = True,
        intrinsics: Sequence[float] | None = None,
    ) -> None:
        """Prepares; loads nothing.

        Args:
            data_path: root folder of the data set.
            lines: the split.
            frames: 0, then the offsets of the sources, or `s` for the other camera.
            height, width: size of scale 0.
            scales: pyramid levels wanted of the target; scale 0 is always made.
            png: read `.png` rather than `.jpg`; None looks at what the first line has.
            augment: draw colours and mirroring (training).
            seed: of those draws.
            all_scales: further scales of the sources too.
            with_depth: add `depth` where scans exist.
            cache_images: number of decoded and resized images kept in memory; H · W · 3 bytes each.
            bad_images: what to do about a missing or damaged image: `fail`, or `skip`, which takes the next
                sample whose images are all readable, the same whoever loads it.
            mirroring: whether augmentation mirrors; the other draws are the same without.
            intrinsics: fx, fy, cx, cy of all cameras, see `core.geometry.relative_intrinsics`; for data sets
                that let the user say them.

        Raises:
            UserError: no such folder, an empty split, or the target of the first line is missing.
        """
        self.notes: list[str] = []
        self._motions: dict[str, KnownMotion] = {}  # of each sequence, by `know_poses`
        self.given_intrinsics = intrinsics
        self.bad_images = BadImages(len(lines)) if bad_images == "skip" else None
        self.root = self._find_root(Path(data_path))
        self.lines, self.frames, self.height, self.width = list(lines), list(frames), height, width
        self.augment, self.mirroring, self.seed, self.all_scales = augment, mirroring, seed, all_scales
        self.scales = sorted({0, *scales})
        if not self.root.is_dir():
            raise UserError(f"{self.root}: no such folder; --data_path must be the root of the data set")
        if not self.lines:
            raise UserError(
                f"the split lists no frames of {self.root}; fill its file or choose another split"
            )
        if self.frames[:1] != [0]:
            raise UserError(f"frames {self.frames}: the first must be 0, the target")
        self._open(png)
        self.with_depth = with_depth and self._has_depth()
        self._cache = _ImageCache(cache_images)

    @abstractmethod
    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame, its extension that of the data set."""

    @abstractmethod
    def _intrinsics(self, line: SplitLine) -> np.ndarray:
        """K of a line's images, not mirrored, at scale 0: float32 (3, 3), pixels."""

    def K(self, line: SplitLine, mirrored: bool = False) -> np.ndarray:  # noqa: N802 (the field's name)
        """K of a line's images at scale 0: float32 (3, 3), pixels."""
        calibrated = self._calibrated(line)
        if calibrated is None:
            K = self._intrinsics(line)
        else:
            K = relative_intrinsics(calibrated, self.height, self.width)
        return mirror_intrinsics(K, self.width) if mirrored and not self.K_is_its_mirror else K

    def K_source(self, line: SplitLine) -> str:  # noqa: N802
        """Where the intrinsics of a line's images come from, for the user."""
        if self._calibrated(line) is not None:
            return "the calibration"
        return "nominal, the same for all of KITTI" if self.K_is_its_mirror else "the data set"

    def _calibrated(self, line: SplitLine) -> Intrinsics | None:
        """Intrinsics that came with the known motion."""
        motion = self._motions.get(line.folder)
        return None if motion is None or motion.intrinsics is None else motion.intrinsics[line.camera]

    def frame_rate(self, line: SplitLine) -> float | None:
        """Frames per second of a line's sequence, where it is known."""
        return None

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        """The measured motion of a line's sequence, for `know_poses`."""
        raise UserError("option known_poses: this data set has no poses; see --dataset")

    def _has_depth(self) -> bool:
        """Whether the first line has what `_load_depth` needs."""
        return False

    def _load_depth(self, line: SplitLine, mirrored: bool) -> np.ndarray:
        """The `depth` of a sample, float32 (1, 375, 1242)."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample of (epoch, index), or of the next index whose images are readable, if bad ones are skipped.

        Raises:
            UserError: a file is missing or damaged; names it, and the line that needs it.
        """
        epoch, index = key
        if self.bad_images is None:
            return self._load(key)
        for following in range(len(self)):
            candidate = (epoch, (index + following) % len(self))
            try:
                for frame in self.frames:
                    self.bad_images.check(self.image_path(self.lines[candidate[1]], frame))
                return self._load(candidate)
            except BadImageError as error:
                self.bad_images.add(error)
        raise UserError(f"{self.root}: no sample of the split has readable images; see --bad_images")

    def _load(self, key: tuple[int, int]) -> Sample:
        index = key[1]
        line, augmentation = self.lines[index], self.augmentation(key)
        sample: Sample = {"K": self.K(line, augmentation.mirrored), "index": np.array(index, np.int64)}
        for frame in self.frames:
            image, array = self._scale_0(index, frame, augmentation.mirrored)
            sample[image_key(frame)] = array
            if frame == 0 or self.all_scales:
                levels = pyramid(image, self.scales)
                sample |= {image_key(frame, s): to_array(levels[s]) for s in self.scales if s > 0}
            sample[augmented_key(frame)] = (
                to_array(augmentation.apply_colours(image)) if augmentation.jitter else array
            )
        if self.metres_per_unit is not None:
            for frame in self.frames[1:]:
                sample[motion_key(frame)] = self.T_source_target(line, frame, augmentation.mirrored)
        elif "s" in self.frames:
            sample["T_stereo"] = stereo_transform("l" if line.camera == 2 else "r", augmentation.mirrored)
        if self.with_depth:
            sample["depth"] = self._load_depth(line, augmentation.mirrored)
        return sample

    def T_source_target(self, line: SplitLine, frame: Frame, mirrored: bool = False) -> np.ndarray:  # noqa: N802
        """The known motion from a line's target to a source, after `know_poses`: float32 (4, 4)."""
        T = self._motions[line.folder].T_source_target(*_views(line, frame))
        T[:3, 3] /= self.metres_per_unit
        return (mirror_motion(T) if mirrored else T).astype(np.float32)

    def augmentation(self, key: tuple[int, int]) -> Augmentation:
        """What is done to the images of (epoch, index)."""
        if not self.augment:
            return Augmentation()
        drawn = draw(np.random.default_rng([SAMPLE_STREAM, self.seed, *key]))
        return replace(drawn, mirrored=drawn.mirrored and self.mirroring)

    def depth(self, key: tuple[int, int]) -> np.ndarray | None:
        """The `depth` of (epoch, index), for those who log only some samples; None without scans."""
        if not self._has_depth():
            return None
        return self._load_depth(self.lines[key[1]], self.augmentation(key).mirrored)

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return f"line {index + 1} of the split ({self.lines[index]})"

    def news(self) -> list[str]:
        """What the user should know and has not been told yet, a line each."""
        notes, self.notes = self.notes, []
        return notes + (self.bad_images.news() if self.bad_images else [])

    def count_bad_images(self) -> int:
        """How many missing and damaged images have been skipped so far."""
        return len(self.bad_images) if self.bad_images else 0

    def check_files(self) -> None:
        """Makes sure that every image of the split exists, before hours are spent.

        Raises:
            UserError: counts the missing images, names the first and the line that needs it; where bad images are
                skipped, only when they are too many.
        """
        needed = [(n, self.image_path(line, f)) for n, line in enumerate(self.lines) for f in self.frames]
        exists = {path: path.is_file() for path in {path for _, path in needed}}
        missing = [(index, path) for index, path in needed if not exists[path]]
        if self.bad_images is not None:
            for _, path in missing:
                self.bad_images.add(BadImageError(path, "no such image"))
        elif missing:
            index, path = missing[0]
            count = list(exists.values()).count(False)
            raise UserError(f"{path}: no such image ({count} are missing); {self._cure(index)}")

    def know_poses(self, metres_per_unit: float, baseline: float | None) -> None:
        """Reads the measured poses of all frames of the split; from now on samples have them.

        Intrinsics are then calibrated ones. KITTI's nominal K is some 15 pixels off the principal point, which a
        predicted motion makes up for by going a little sideways, but a known one cannot.

        Args:
            metres_per_unit: what translations are divided by: the unit of the depth that is trained.
            baseline: metres between the cameras of a stereo pair, where no calibration says it better.

        Raises:
            UserError: a calibration or poses are missing, damaged or not in metres; names the file, and where poses
                are missing the first line that needs one, and their number.
        """
        from tqdm import tqdm

        self.metres_per_unit, self.K_is_its_mirror = metres_per_unit, False
        times = [int(frame) for frame in self.frames if frame != "s"]
        needed: dict[tuple[str, int], int] = {}  # poses, and the first line that needs each
        for index, line in enumerate(self.lines):
            if line.folder not in self._motions:
                self._motions[line.folder] = self._known_motion(line, baseline)
            for frame in times:
                needed.setdefault((line.folder, line.frame + frame), index)
        missing = []
        for (folder, frame), index in tqdm(needed.items(), desc="poses", unit="pose", disable=None):
            try:
                self._motions[folder].load(frame)
            except MissingPoseError as missed:
                missing.append((index, missed))
        if missing:
            index, error = missing[0]
            raise UserError(
                f"{error}; {self.describe(index)} needs it ({len(missing)} frames lack a pose); take the lines that "
                "need them out of the list"
            )
        self.notes += check_moves([self._move(line, frame) for line in self.lines for frame in times[1:]])

    def _move(self, line: SplitLine, frame: int) -> Move:
        source, target = _views(line, frame)
        return Move(line.folder, target[0], source[0], self._motions[line.folder].distance(source, target))

    def _find_root(self, data_path: Path) -> Path:
        """The root folder of what the user named."""
        return data_path

    def _open(self, png: bool | None) -> None:
        """Prepares what `image_path` needs, here `extension`; makes sure that the first target exists."""
        for self.extension in (".jpg", ".png") if png is None else (".png",) if png else (".jpg",):
            first = self.image_path(self.lines[0], 0)
            if first.is_file():
                return
        other = "" if png is None else f", or {'leave out' if png else 'add'} --png"
        raise UserError(f"{first}: no such image; check --data_path and --split{other}")

    def _cure(self, index: int) -> str:
        return f"{self.describe(index)} needs it; a list must leave out the first and last frames of a drive"

    def _scale_0(self, index: int, frame: Frame, mirrored: bool) -> tuple[Image.Image, np.ndarray]:
        """A frame at scale 0, as an image and as a read-only array of the same bits."""
        path = self.image_path(self.lines[index], frame)
        array = self._cache.get((path, mirrored))
        if array is not None:
            return Image.fromarray(array), array
        image = resize(load_image(path, mirrored, self._cure(index)), self.height, self.width)
        array = to_array(image)
        self._cache.put((path, mirrored), array)
        return image, array


def _views(line: SplitLine, frame: Frame) -> tuple[tuple[int, int], tuple[int, int]]:
    """Frame and camera of a source, and of the target."""
    camera = 2 if line.side is None else line.camera
    source = (line.frame, 5 - camera) if frame == "s" else (line.frame + int(frame), camera)
    return source, (line.frame, camera)


class _ImageCache:
    """The most recently used arrays, up to a number; for several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._arrays: OrderedDict[tuple[Path, bool], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, bool]) -> np.ndarray | None:
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
            return array

    def put(self, key: tuple[Path, bool], array: np.ndarray) -> None:
        if self._size == 0:
            return
        with self._lock:
            self._arrays[key] = array
            self._arrays.move_to_end(key)
            if len(self._arrays) > self._size:
                self._arrays.popitem(last=False)
