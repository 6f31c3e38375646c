"""Samples of the lines of a split: what all data sets of image sequences share. A layout is a subclass."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from core.datasets.augmentation import Augmentation, draw
from core.datasets.extras import EXTRAS, check_extras, load_extra
from core.datasets.input_depth import INPUT_DEPTH, draw_share, fixed_points, thin
from core.datasets.measured_motion import MeasuredMotion
from core.datasets.motion import check_stereo_pairs, spread
from core.datasets.preparation import DEPTHS, POINTS, View, border_box
from core.datasets.sample import Frame, Sample, Truth, augmented_key, image_key, motion_key
from core.datasets.splits import LEFT, SplitLine, list_below, load_split
from core.errors import UserError
from core.files.images import BadImageError, image_size, pyramid, to_array
from core.geometry import (
    NOMINAL_FOCAL_LENGTHS,
    mapped_intrinsics,
    nominal_intrinsics,
    relative_intrinsics,
    scaled_intrinsics,
    stereo_transform,
)
from core.options.needs import Listing, Needs

LOOKED_AT = 3  # stereo pairs
SAMPLE_STREAM = 1  # keeps the draws of the samples apart from those of their order (core/datasets/loader.py)


class SequenceDataset(MeasuredMotion):
    """Samples (see `core/datasets/sample.py`) of the lines of a split.

    `dataset[(epoch, index)]` depends on the seed, the epoch and the index only, never on the worker or on
    what was loaded before. Safe to use from several threads.

    Attributes:
        baseline: metres between the cameras of a stereo pair; None where it is not known.
        takes_split: its lines are those of a split; otherwise `split_lines` makes them of what lies in the data.
    """

    takes_split = True
    baseline: float | None = None

    @classmethod
    def split_lines(cls, listing: Listing, part: str, needs: Needs) -> tuple[list[SplitLine], list[str]]:
        """The lines of a part of a listing, here those of the split, and notes for the user.

        A list file may be named from the root of the data, too.

        Raises:
            UserError: there is no such list, or it is malformed.
        """
        return load_split(list_below(listing.path, listing.split), part), []

    # --- the camera ---

    def K(self, line: SplitLine, view: View | None = None) -> np.ndarray:  # noqa: N802 (the field's name)
        """K of a line's images: float32 (3, 3), pixels of a sample on this way, or else of the undrawn one.

        Or of the file that such a sample is cut of, see `Preparation.scale_K`.
        """
        view = view or View.of(self.preparation, Augmentation())
        if not self.preparation.scale_K:
            left, top, right, bottom = border_box(view.border_crop, *image_size(self.image_path(line, 0)))
            view = replace(view, height=bottom - top, width=right - left)
        edges = self.preparation.mirror == "edges"
        calibrated = self._calibrated(line)
        size = None
        if view.border_crop or view.zoom or (edges and not self.K_is_its_mirror):
            size = image_size(self.image_path(line, 0))
        if self.K_is_its_mirror:  # centred between the edges
            edges, K = True, nominal_intrinsics(view.height, view.width)
        elif edges and size is not None:
            K = scaled_intrinsics(calibrated or self.intrinsics(line), size, view.height, view.width)
        else:
            K = relative_intrinsics(calibrated or self.intrinsics(line), view.height, view.width)
        return mapped_intrinsics(K, view.pixel_map(size, edges))

    def K_source(self, line: SplitLine) -> str:  # noqa: N802
        """Where the intrinsics of a line's images come from, for the user."""
        if self._calibrated(line) is not None:
            return "the calibration"
        return "nominal, the same for all of KITTI" if self.K_is_its_mirror else "the data set"

    def focal_length(self, line: SplitLine) -> float:
        """Of a line's images, in units of their width."""
        if self.K_is_its_mirror:
            return NOMINAL_FOCAL_LENGTHS[0]
        return float((self._calibrated(line) or self.intrinsics(line))[0])

    def numerator(self, line: SplitLine) -> float | None:
        """Depth times disparity of a line's stereo pair, units of depth times widths of the image; None without one."""
        if "s" not in self.frames:
            return None
        known = self.metres_per_unit is not None
        baseline = abs(float(self.T_source_target(line, "s")[0, 3])) if known else self.needs.baseline
        return self.focal_length(line) * baseline

    def side(self, line: SplitLine) -> int:
        """-1 where the left camera of the pair took the target, 1 where the right one did."""
        return -1 if self.camera_number(line) == LEFT else 1

    def extra_path(self, name: str, line: SplitLine) -> Path:
        """The file of an extra of a line, whether or not it is there."""
        return EXTRAS[name].find(self.root, self.listing, line)

    def check_files(self) -> None:
        """Makes sure that the files are there, see `MeasuredMotion.check_files`; also those of extras."""
        super().check_files()
        for name in self.needs.extras:
            check_extras(name, self.listing, [self.extra_path(name, line) for line in self.lines])

    def check_rig(self, baseline: float | None) -> None:
        """Makes sure that numbers which are taken for all of a data set are those of this one; looks at stereo pairs.

        Args:
            baseline: metres, where the user says it.

        Raises:
            UserError: a calibration says otherwise.
        """
        if "s" in self.frames:
            pairs = []
            for line in spread(self.lines, LOOKED_AT):
                target, other = self.image_file(line, 0), self.image_file(line, "s")
                pairs.append((target, other) if self.side(line) < 0 else (other, target))
            check_stereo_pairs(self.root, pairs)

    # --- samples ---

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample of (epoch, index), or of the next index whose images are readable, if bad ones are skipped.

        Raises:
            UserError: a file is missing or damaged; names it, and the line that needs it.
        """
        return self.load(*key)

    def load(self, epoch: int, index: int, first: int = 0) -> Sample:
        """As `dataset[epoch, index]`, for those who count it from `first`, in its draws and in its `index`."""
        if self.bad_images is None:
            try:
                return self._load(epoch, index, first)
            except BadImageError as error:
                raise BadImageError(error.path, f"{error.reason}{self.skipping}") from error
        for following in range(len(self)):
            candidate = (index + following) % len(self)
            try:
                for frame in self.frames:
                    self.bad_images.check(self.image_file(self.lines[candidate], frame))
                return self._load(epoch, candidate, first)
            except BadImageError as error:
                self.bad_images.add(error)
        raise UserError(f"{self.root}: no sample of the split has readable images; see --bad_images")

    def augmentation(self, key: tuple[int, int]) -> Augmentation:
        """What is drawn for (epoch, index)."""
        policy = self.preparation.augmentation
        if policy is None:
            return Augmentation()
        rng = np.random.default_rng([SAMPLE_STREAM, self.seed, *key])
        thinned = self.input_depth is not None and self.preparation.thins
        return draw(rng, policy, self.preparation.zoom, len(self.frames) - 1, thinned)

    def sample_truth(self, epoch: int, index: int, first: int = 0) -> Truth | None:
        """`truth` of the sample (epoch, index), for the log and validation; None without, or where it was zoomed."""
        if not self.has_truth:
            return None
        view = View.of(self.preparation, self.augmentation((epoch, first + index)))
        truth = self.truth(self.lines[index])
        if truth is None or view.zoom:
            return None
        return Truth(view.cut(truth, POINTS) if self.preparation.cut_truth else truth, view.mirrored)

    def _load(self, epoch: int, index: int, first: int) -> Sample:
        line, needs = self.lines[index], self.needs
        augmentation = self.augmentation((epoch, first + index))
        view = View.of(self.preparation, augmentation)
        sample: Sample = {"index": np.array(first + index, np.int64)}
        for number, frame in enumerate(self.frames):
            sample |= self._images(index, number, frame, augmentation, view)
        if needs.intrinsics:
            sample["K"] = self.K(line, view)
        if needs.side:
            sample["side"] = np.array(self.side(line), np.int64)
        if self.metres_per_unit is not None:
            for frame in self.frames[1:]:
                sample[motion_key(frame)] = self.T_source_target(line, frame, view.mirrored)
        elif "s" in self.frames:
            letter = "l" if self.side(line) < 0 else "r"
            sample["T_stereo"] = stereo_transform(letter, view.mirrored, needs.baseline)
        if needs.depth:
            sample["depth"] = self._resized(line, self.listing.depth, view)
        if self.input_depth is not None:
            sample[INPUT_DEPTH] = self._input_depth(line, augmentation, view)
        for name in needs.extras:
            size = image_size(self.image_path(line, 0))
            sample[name] = load_extra(
                name, self.listing, self.extra_path(name, line), view, size, self.numerator(line)
            )
        return sample

    def _input_depth(self, line: SplitLine, augmentation: Augmentation, view: View) -> np.ndarray:
        """What a network sees of a line's depth, on the way of the images: float32 (1, H, W), metres, 0 = unknown."""
        depth, drawn = self._measured(line, self.input_depth), augmentation.points
        if depth is not None:
            share, rng = self.preparation.input_depth_points, fixed_points(str(line), self.seed)
            if drawn is not None:
                rng = np.random.default_rng(drawn)
                share = draw_share(rng, self.preparation.least_input_depth_points, share)
            depth = thin(depth, share, rng)
        return self._on_its_way(depth, view, DEPTHS[self.preparation.input_depth])

    def _images(
        self, index: int, number: int, frame: Frame, augmentation: Augmentation, view: View
    ) -> Sample:
        """What a sample holds of a frame, its `number` among them."""
        needs, images = self.needs, {}
        image, array = self._scale_0(index, frame, view)
        if needs.plain:
            images[image_key(frame)] = array
        if needs.plain and (number == 0 or needs.all_scales):
            scales = sorted({*needs.scales} - {0})
            levels = pyramid(image, scales, self.kind.medium.resize, (self.height, self.width))
            images |= {image_key(frame, scale): to_array(level) for scale, level in levels.items()}
        if needs.augmented and (number == 0 or needs.augmented_sources):
            plain = not augmentation.jitter
            images[augmented_key(frame)] = (
                array if plain else to_array(augmentation.apply_colours(image, number))
            )
        return images
