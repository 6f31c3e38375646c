"""The image files of a split's lines: where they lie, and what to do about those that are missing or damaged."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.datasets.bad_images import BadImages
from core.datasets.disk_cache import DiskCache
from core.datasets.image_cache import ImageCache
from core.datasets.preparation import IMAGES, View
from core.datasets.sample import Frame
from core.datasets.sequences import sizes_of
from core.datasets.splits import SplitLine, other_camera
from core.errors import UserError
from core.files.existing import ExistingFiles
from core.files.images import BadImageError, load_image, to_array
from core.options.base import no_data
from core.options.needs import Listing, Needs, Preparation
from core.plausibility.cameras import check_sequence
from core.plausibility.lists import by_folder

OTHER = {".jpg": ".png", ".png": ".jpg"}


class SequenceImages(ABC):
    """The images of sequences, of one camera or of a stereo pair.

    Attributes:
        root: folder of the data set.
        listed: the lines of the split.
        lines: of them those that are used.
        rows: the number of each of these in the split.
        frames: the target 0, then its sources.
        extension: `.jpg` or `.png`, whichever the data set has.
        notes: what the user should know of how the data were read, a line each.
        may_keep: what took time to make may be kept beside the data.
    """

    may_keep = True
    extension = ""

    def __init__(
        self,
        listing: Listing | str | Path,
        lines: list[SplitLine],
        needs: Needs,
        preparation: Preparation,
        *,
        seed: int = 0,
        png: bool | None = None,
        cache_images: int | None = 0,
        bad_images: str = "fail",
        given_intrinsics: Sequence[float] | None = None,
    ) -> None:
        """Prepares; loads nothing.

        Args:
            listing: of the data set, or only its root folder.
            lines: the split.
            needs: what a sample holds.
            preparation: how files become samples.
            seed: of the draws.
            png: read `.png` rather than `.jpg`; None looks at what the first line has.
            cache_images: number of decoded and resized images kept in memory; H · W · 3 bytes each; None: see
                `ImageCache`.
            bad_images: what to do about a missing or damaged image: `fail`, or `skip`, which takes the next
                sample whose images are all readable, the same whoever loads it.
            given_intrinsics: fx, fy, cx, cy of all cameras, see `core.geometry.relative_intrinsics`; for data sets
                that let the user say them.

        Raises:
            UserError: no such folder, an empty split, or the target of the first line is missing.
        """
        self.listing = listing if isinstance(listing, Listing) else Listing("", str(listing), "")
        self.needs, self.preparation, self.seed = needs, preparation, seed
        self.frames, self.lines = list(needs.frames), list(lines)
        self.listed, self.rows = list(lines), list(range(len(self.lines)))
        self._left_out: Counter[str] = Counter()
        self._absent: set[Path] = set()  # neighbours that the target stands in for
        self.height, self.width = preparation.height, preparation.width
        self.kind = IMAGES[preparation.filter]
        self.given_intrinsics = given_intrinsics
        self.notes: list[str] = []
        self.bad_images = BadImages(len(lines)) if bad_images == "skip" else None
        self.skipping = ""  # ends messages on such an image, where it may be skipped
        self._again = preparation.zoom == 1  # a zoom never comes again
        self._cache = ImageCache(cache_images if self._again else 0)
        self._cache_images = cache_images
        self.root = self._find_root(Path(self.listing.path))
        if not self.root.is_dir():
            raise UserError(no_data(str(self.root)))
        if not self.lines:
            raise UserError(
                f"the split lists no frames of {self.root}; fill its file or choose another split"
            )
        if self.frames[:1] != [0]:
            raise UserError(f"frames {self.frames}: the first must be 0, the target")
        self._open(png)

    def keep_images(self, folder: Path) -> None:
        """From now on resized images are kept in a folder, and those of former runs are taken from it.

        Raises:
            UserError: the folder cannot be written.
        """
        if self._again and self.may_keep:
            disk = DiskCache(folder, self.preparation, lambda note: self.notes.append(note))
            self._cache = ImageCache(self._cache_images, disk)

    @abstractmethod
    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame, its extension that of the data set."""

    def image_file(self, line: SplitLine, frame: Frame) -> Path:
        """The file that a frame is read from: `image_path`, or the target's, after `check_files`."""
        path = self.image_path(line, frame)
        return self.image_path(line, 0) if path in self._absent else path

    def camera_number(self, line: SplitLine) -> int:
        """The camera that took a line's target, such as `core.datasets.splits.LEFT`."""
        return line.camera

    def moment(self, line: SplitLine, frame: Frame) -> tuple[int, int]:
        """Number of the moment in the sequence, and camera, of a line's frame; `s` is the other camera of the pair."""
        number, camera = self.frame_of(line), self.camera_number(line)
        return (number, other_camera(camera)) if frame == "s" else (number + int(frame), camera)

    def frame_of(self, line: SplitLine) -> int:
        """The frame of a line's target, whose neighbours are one more and one less; here the number in the list."""
        return line.frame

    def frame_rate(self, line: SplitLine) -> float | None:
        """Frames per second of a line's sequence, where it is known."""
        return None

    def target_path(self, index: int) -> Path:
        """The file of a sample's target."""
        return self.image_path(self.lines[index], 0)

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return f"line {self.rows[index] + 1} of the split ({self.lines[index]})"

    def listed_as(self, index: int) -> str:
        """In which file a sample's line stands, where, and what it says; of a line that was made as `describe`."""
        origin = self.lines[index].origin
        return f"{origin} ({self.lines[index]})" if origin else self.describe(index)

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
        needed = [[self.image_path(line, frame) for frame in self.frames] for line in self.lines]
        exists = ExistingFiles()
        if self.listing.repeat_target:
            self._repeat_targets(exists)
            needed = [[self.image_file(line, frame) for frame in self.frames] for line in self.lines]
        if self.listing.drop_incomplete:
            alone = [exists(target) and not all(map(exists, paths)) for target, *paths in needed]
            self.leave_out({index: "neighbouring images" for index, is_alone in enumerate(alone) if is_alone})
            needed = [paths for paths, is_alone in zip(needed, alone, strict=True) if not is_alone]
        missing = [(index, path) for index, paths in enumerate(needed) for path in paths if not exists(path)]
        if self.bad_images is not None:
            for _, path in missing:
                self.bad_images.add(BadImageError(path, "no such image"))
        elif missing:
            index, path = missing[0]
            count = len({path for _, path in missing})
            cure = self._cure_of_missing([index for index, _ in missing], exists) or self._cure(index)
            raise UserError(f"{path}: no such image ({count} are missing); {cure}{self.skipping}")

    def _check_shapes(self, firsts: Mapping[str, tuple[Path, Path]]) -> None:
        """Makes sure that the images of a sequence that lines use have the shape of its first one, by their headers.

        Args:
            firsts: the folder of each sequence and the image that its intrinsics are for, by the name in the lines.

        Raises:
            UserError: one has another, see `core.plausibility.cameras.check_sequence`.
        """
        used = {name: {first: None} for name, (_, first) in firsts.items()}
        for line in self.lines:
            used[line.folder] |= dict.fromkeys(self.image_file(line, frame) for frame in self.frames)
        for name, files in used.items():
            check_sequence(firsts[name][0], sizes_of(files))

    def _cure_of_missing(self, lacking: list[int], exists: ExistingFiles) -> str | None:
        """What to do where targets are missing, not only their neighbours, or images have two extensions.

        Args:
            lacking: the lines that lack an image.
            exists: whether a file does.
        """
        first = lacking[0]
        for index in dict.fromkeys(lacking):
            for frame in self.frames:
                path = self.image_path(self.lines[index], frame)
                if not exists(path) and (other := self._other_file(path)) is not None:
                    return (
                        f"{self.listed_as(index)} needs it, and {other.name} is there: images are .png here and "
                        f".jpg there; make them one kind, or {'leave out' if self.extension == '.png' else 'add'} --png"
                    )
        targets = [n for n in dict.fromkeys(lacking) if not exists(self.image_path(self.lines[n], 0))]
        here = all(self.image_path(self.lines[n], 0).parent.is_dir() for n in targets)
        if here and first not in targets:  # a neighbour is lacking
            line, times = self.lines[first], [int(frame) for frame in self.frames if frame != "s"]
            if self.frame_of(line) + min(times) < 0:
                return f"there is no frame before 0; {self._cure(first)}"
            return None
        counted = by_folder([self.lines[n].folder for n in targets], [line.folder for line in self.lines])
        return f"{self.listed_as(first)} needs it; {counted}: give a list of those that are here"

    def _other_file(self, path: Path) -> Path | None:
        """The same image with the other extension of the data set, if it is there."""
        if self.extension not in OTHER or path.suffix != self.extension:
            return None
        other = path.with_suffix(OTHER[self.extension])
        return other if other.is_file() else None

    def _repeat_targets(self, exists: ExistingFiles) -> None:
        """Lets the target stand in for every neighbour in time that does not exist, for `Listing.repeat_target`."""
        times = [frame for frame in self.frames[1:] if frame != "s"]
        paths = {index: [self.image_path(line, n) for n in times] for index, line in enumerate(self.lines)}
        whole = {index for index, line in enumerate(self.lines) if exists(self.image_path(line, 0))}
        targets = {self.image_path(line, 0) for line in self.lines}
        self._absent = {path for index in whole for path in paths[index] if not exists(path)} - targets
        count = sum(not self._absent.isdisjoint(found) for found in paths.values())
        if count:
            self.notes.append(
                f"{self.listing.split or self.root}: in {count} of {len(self.lines)} lines the target stands in for a "
                "neighbour that is not there"
            )

    def leave_out(self, lacking: Mapping[int, str]) -> None:
        """Takes lines out of the list, for `Listing.drop_incomplete`.

        Args:
            lacking: the index of each, and what is not there.

        Raises:
            UserError: these are all that were left.
        """
        self._left_out += Counter(lacking.values())
        if lacking and len(lacking) == len(self.lines):
            first = self.describe(next(iter(lacking)))
            raise UserError(
                f"{self.root}: no line of the list can be used ({self._counts()}, such as {first}); unpack what they "
                "lack, or give another list"
            )
        kept = [index for index in range(len(self.lines)) if index not in lacking]
        self.lines, self.rows = [self.lines[n] for n in kept], [self.rows[n] for n in kept]

    def note_left_out(self) -> None:
        """Says in one line how many lines were left out, and why."""
        if self._left_out:
            left_out = self._left_out.total()
            self.notes.append(
                f"{self.listing.split or self.root}: {left_out} of {left_out + len(self.lines)} lines are left out: "
                f"{self._counts()}"
            )

    def _counts(self) -> str:
        return ", ".join(f"{count} without {what}" for what, count in self._left_out.items())

    def _find_root(self, data_path: Path) -> Path:
        """The root folder of what the user named."""
        return data_path

    def _open(self, png: bool | None) -> None:
        """Prepares what `image_path` needs, here `extension`; makes sure that the first target exists."""
        for self.extension in (".jpg", ".png") if png is None else (".png",) if png else (".jpg",):
            first = self.image_path(self.lines[0], 0)
            if first.is_file():
                return
        other = "" if self._other_file(first) is None else f", or {'leave out' if png else 'add'} --png"
        absent = [line.folder for line in self.lines if not self.image_path(line, 0).is_file()]
        counted = by_folder(absent, [line.folder for line in self.lines])
        few = "" if len(absent) == len(self.lines) else f" ({counted}: give a list of those that are here)"
        raise UserError(f"{first}: no such image; check --data_path and --split{other}{few}")

    def _cure(self, index: int) -> str:
        cure = "a list must leave out the first and last frames of a drive"
        return f"{self.listed_as(index)} needs it; {cure}"

    def _scale_0(self, index: int, frame: Frame, view: View) -> tuple[Any, np.ndarray]:
        """A frame at scale 0, as the filter's kind of image and as a read-only array of the same bits."""
        path, medium = self.image_file(self.lines[index], frame), self.kind.medium
        straight = self._cache.get((path, None))
        if straight is not None:
            return self._turned(self.kind.restore(straight), straight, view)
        array = self._cache.get((path, view.mirrored))
        if array is not None:
            return self.kind.restore(array), array
        decoded = view.cut(self.kind.decode(load_image(path, False, self._cure(index))), medium)
        uncut = replace(view, border_crop=())
        if view.zoom or not self.kind.symmetric(medium.size(decoded)[1], self.width):
            image = uncut.apply(decoded, medium)
            array = to_array(image)
            self._cache.put((path, view.mirrored), array)
            return image, array
        image = replace(uncut, mirrored=False).apply(decoded, medium)
        straight = to_array(image)
        self._cache.put((path, None), straight)
        return self._turned(image, straight, view)

    def _turned(self, image: Any, array: np.ndarray, view: View) -> tuple[Any, np.ndarray]:
        """An image that is as it is, and its array; mirrored, where the way says so."""
        if not view.mirrored:
            return image, array
        mirrored = self.kind.medium.mirror(image)
        return mirrored, to_array(mirrored)
