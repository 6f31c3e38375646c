"""The measured depth of a data set's targets: for scores in its native size, for losses and networks as the images."""

from functools import cached_property
from pathlib import Path

import numpy as np

from core.datasets.ground_truth import SparseDepth, load_ground_truth
from core.datasets.images import SequenceImages
from core.datasets.preparation import POINTS, Medium, View
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.needs import USUAL
from core.plausibility.truth import LOOKED_AT, check_truth


class MeasuredDepth(SequenceImages):
    """Images whose depth may have been measured.

    Attributes:
        DEPTHS: the depths that there may be, by the words that a listing uses; the first is the usual one.
        USUAL_INPUT: of them that which a network usually sees; empty: the usual one.
    """

    DEPTHS: tuple[str, ...] = ()
    USUAL_INPUT = ""

    @property
    def input_depth(self) -> str | None:
        """Which depth a network sees; None: none."""
        if self.listing.input_depth != USUAL or not self.DEPTHS:
            return self.listing.input_depth
        return self.USUAL_INPUT or self.DEPTHS[0]

    def measured_depth(self, line: SplitLine, kind: str) -> np.ndarray | None:
        """A depth of `DEPTHS` of a line's target in its native size: float32 (h, w), metres, 0 = unknown.

        None where there is none.

        Raises:
            UserError: a file is damaged.
        """
        return None

    def depth_file(self, line: SplitLine, kind: str) -> Path | None:
        """The file that `measured_depth` reads, whether or not it is there; None where this data set has none."""
        return None

    def check_scans(self) -> None:
        """Looks at some scans beside their images, where this data set has scans; see `core.datasets.scan_evidence`.

        Raises:
            UserError: a file is damaged.
        """

    def has_depth(self, line: SplitLine, kind: str) -> bool:
        """Whether that file is there."""
        file = self.depth_file(line, kind)
        return file is not None and file.is_file()

    def truth(self, line: SplitLine) -> np.ndarray | None:
        """What a line's prediction is scored by, in its native size: float32 (h, w), metres, 0 = unknown.

        None where there is none.

        Raises:
            UserError: a file is damaged, or is the ground truth of another list.
        """
        if self.listing.ground_truth is not None:
            return self._given_truth[line].dense()
        return self._measured(line, self.listing.depth)

    @cached_property
    def has_truth(self) -> bool:
        """Whether any line has it: then a run has depth metrics."""
        if self.listing.ground_truth is not None:
            return True
        kind = self.listing.depth or (self.DEPTHS[0] if self.DEPTHS else None)

        def has(line: SplitLine) -> bool:
            return kind is not None and self.has_depth(line, kind)

        count = min(LOOKED_AT, len(self.lines))
        chosen = [line for n in range(count) if has(line := self.lines[n * len(self.lines) // count])]
        chosen = chosen or [next((line for line in self.lines if has(line)), self.lines[0])]
        depths = {str(line): depth for line in chosen if (depth := self.truth(line)) is not None}
        check_truth(
            f"true depth in {self.root}", [depth[depth > 0] for depth in depths.values()], list(depths)
        )
        return bool(depths)

    def check_files(self) -> None:
        """Makes sure that every image of the split exists, and that there can be the depth that is asked for.

        Raises:
            UserError: see `SequenceImages.check_files`; or this data set has no such depth; or the file of the ground
                truth is missing, damaged or of another list; or there is no true depth, and the score needs it.
        """
        known = ", ".join(self.DEPTHS) or "none"
        for kind in (self.listing.depth, self.input_depth):
            if kind is not None and kind not in self.DEPTHS:
                raise UserError(f"{self.root}: no depth {kind!r} in this data set; it has {known}")
        super().check_files()
        for kind in self._depths_of_samples() if self.DEPTHS else ():
            self._check_depth(kind)
        if self.listing.ground_truth is not None:
            _ = self._given_truth
        elif self.needs.truth and not self.has_truth:
            file = (
                self.depth_file(self.lines[0], self.listing.depth or self.DEPTHS[0]) if self.DEPTHS else None
            )
            absent = file is not None and not file.is_file()
            lacking = f"{file}: no such file, so" if absent else f"{self.root}:"
            raise UserError(f"{lacking} there is no true depth to score by; {self.needs.truth}")

    def _depths_of_samples(self) -> list[str]:
        """The depths that lines should have, without those that only a score would like."""
        named = self.listing.ground_truth is None and self.listing.drop_incomplete
        depth = self.listing.depth if named else None
        if self.needs.depth:  # for the loss
            depth = self.listing.depth or self.DEPTHS[0]
        return list(dict.fromkeys(kind for kind in (depth, self.input_depth) if kind is not None))

    def _check_depth(self, kind: str) -> None:
        """Leaves out the lines without a depth, or counts them."""
        lacking = [index for index, line in enumerate(self.lines) if not self.has_depth(line, kind)]
        if self.listing.drop_incomplete:
            self.leave_out(dict.fromkeys(lacking, f"depth ({kind})"))
        elif lacking:
            self.notes.append(
                f"{self.listing.split or self.root}: {len(lacking)} of {len(self.lines)} samples lack depth ({kind}), "
                f"such as {self.describe(lacking[0])}"
            )

    @cached_property
    def _given_truth(self) -> dict[SplitLine, SparseDepth]:
        """The maps of the listing's file, by their lines."""
        maps = load_ground_truth(Path(self.listing.ground_truth or ""), self.listed)
        return dict(zip(self.listed, maps, strict=True))

    def _measured(self, line: SplitLine, kind: str | None) -> np.ndarray | None:
        kind = kind or (self.DEPTHS[0] if self.DEPTHS else None)
        return None if kind is None else self.measured_depth(line, kind)

    def _resized(self, line: SplitLine, kind: str | None, view: View, medium: Medium = POINTS) -> np.ndarray:
        """A measured depth on the way of the images: float32 (1, H, W), metres, 0 = unknown."""
        return self._on_its_way(self._measured(line, kind), view, medium)

    def _on_its_way(self, depth: np.ndarray | None, view: View, medium: Medium) -> np.ndarray:
        """As `_resized`, of a map."""
        if depth is None:
            return np.zeros((1, self.height, self.width), np.float32)
        return np.asarray(view.apply(depth, medium)[None])
