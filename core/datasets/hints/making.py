"""Makes the hints of a list, several at a time, each file whole or absent: what was interrupted goes on from there."""

import contextlib
import dataclasses
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cores import available_cores, end_with_parent
from core.datasets import reader
from core.datasets.hints import foreign, fusion, matching, picture
from core.datasets.hints.files import (
    MATCHED_STEP,
    Coded,
    code,
    depth_of,
    find_in,
    hint_folder,
    how_it_was_made,
    read_hint,
    relative_path,
    write_hint,
)
from core.datasets.samples import SequenceDataset
from core.datasets.splits import PARTS, SplitLine, has_part
from core.errors import UserError
from core.files.images import load_image, resize, to_array
from core.options.base import NOMINAL_BASELINE
from core.options.hints import UNITS, HintOptions
from core.options.needs import Listing, Needs, Preparation

SHOWN = 10  # lines without a hint


@dataclass(frozen=True)
class Job:
    """One hint to make.

    Attributes:
        line: of the list, for messages.
        output: the file to write.
        target, source: the images of the pair.
        values: the file of a foreign map, or None.
        focal_length: in units of the width.
        side: -1: the target is the left image, 1: the right one.
    """

    line: str
    output: Path
    target: Path
    source: Path
    values: Path | None
    focal_length: float
    side: int


@dataclass(frozen=True)
class Made:
    """What came of a job.

    Attributes:
        line: of the list.
        error: why there is no hint; empty where there is one.
        known: share of the pixels that have a hint.
        size: bytes of the file.
        step: pixels of disparity of a step of the file.
    """

    line: str
    error: str = ""
    known: float = 0.0
    size: int = 0
    step: float = 0.0


@dataclass(frozen=True)
class Rule:
    """What is the same for all hints of a run."""

    height: int
    width: int
    align_corners: bool
    exclude_invalid: bool
    unit: str | None
    up_to_scale: bool
    up_to_shift: bool
    metres_per_unit: float | None

    @property
    def matches(self) -> bool:
        """Stereo pairs are matched: as the hint, or to align it."""
        return self.unit is None or self.up_to_scale or self.up_to_shift

    def describe(self, focal_length: float) -> str:
        """How a hint is made: files of equal descriptions may lie in one folder."""
        words = [f"{self.width}x{self.height} focal length {focal_length:g}"]
        if self.matches:
            corners = "" if self.align_corners else " no"
            words.append(f"matched{corners} align_corners{' exclude_invalid' * self.exclude_invalid}")
        if self.unit is not None:
            words.append(f"from {self.unit}")
            words += [name for name in ("up_to_scale", "up_to_shift") if getattr(self, name)]
        if self.metres_per_unit is not None:
            words.append(f"{self.metres_per_unit:g} m")
        return ", ".join(words)


@dataclass
class Run:
    """The hints of a list.

    Attributes:
        jobs: those to make.
        kept: how many were there already.
        notes: what the user should know of the data, a line each.
        made: what came of the jobs, in any order.
    """

    options: HintOptions
    rule: Rule
    dataset: SequenceDataset
    jobs: list[Job]
    kept: int
    notes: list[str] = dataclasses.field(default_factory=list)
    made: list[Made] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """One line for the user."""
        good = [one for one in self.made if not one.error]
        text = (
            f"{folder_of(self.options, self.dataset)}: {len(good)} hints made, {self.kept} were there already"
        )
        if good:
            known, size = (sum(getattr(one, name) for one in good) / len(good) for name in ("known", "size"))
            text += f"; {known:.0%} of the pixels have one, {size / 1e3:.0f} kB each"
            empty = sum(one.known == 0 for one in good)
            text += f"; {empty} of them know no pixel" if empty else ""
        if good and self.rule.unit is not None:
            worst = max(one.step for one in good) / 2
            text += f"; disparities of {self.rule.width} pixels within {worst:.2g} pixel of those given"
        return text


def folder_of(options: HintOptions, dataset: SequenceDataset) -> Path:
    """Where the hints go."""
    return hint_folder(dataset.root, Listing("", "", "", depth_hints=options.save_path))


def open_lines(options: HintOptions) -> tuple[SequenceDataset, list[SplitLine]]:
    """The data set, and the lines in their order, perhaps twice.

    Raises:
        UserError: there is no such list or data set, or the data set is not stereo.
    """
    listing = Listing(options.dataset, options.data_path, options.split)
    source, needs = reader(options.dataset), Needs(frames=(0, "s"), augmented=False)
    parts = [part for part in ("train", "val") if not source.takes_split or has_part(options.split, part)]
    lines: list[SplitLine] = []
    notes: list[str] = []
    for part in parts or [next((part for part in PARTS if has_part(options.split, part)), "train")]:
        found, said = source.split_lines(listing, part, needs)
        lines, notes = lines + found, notes + said
        if options.split.lower().endswith(".txt"):
            break
    dataset = source(
        listing,
        lines,
        needs,
        Preparation(options.height, options.width),
        png=options.png or None,
        given_intrinsics=options.intrinsics,
    )
    dataset.notes[:0] = notes
    dataset.image_path(lines[0], "s")  # raises where there is no pair
    return dataset, lines


def plan(options: HintOptions) -> Run:
    """What there is to do, before anything is done.

    Raises:
        UserError: a list, a data set or files of depth are not there, or hints there are of another kind.
    """
    dataset, lines = open_lines(options)
    maps: list[Path] | list[None] = [None] * len(lines)
    if options.from_folder is not None:
        maps = foreign.find_maps(Path(options.from_folder), lines)
    rule = _rule(options, dataset)
    folder, jobs, kept, seen = folder_of(options, dataset), [], 0, set()
    for line, values in zip(lines, maps, strict=True):
        stem = relative_path(line)
        if stem in seen:
            continue
        seen.add(stem)
        job = _job(dataset, line, folder, values)
        if not options.overwrite and _is_there(folder, line, rule.describe(job.focal_length)):
            kept += 1
        else:
            jobs.append(job)
    return Run(options, rule, dataset, jobs, kept, list(dict.fromkeys(dataset.news())))


def _rule(options: HintOptions, dataset: SequenceDataset) -> Rule:
    metres = None
    if options.unit is not None and UNITS[options.unit][0] != "disparity" and not options.aligned:
        baseline = options.baseline or dataset.baseline
        if baseline is None:
            raise UserError(
                f"option unit: {options.unit} needs the distance of the cameras; give --baseline METRES, or baseline "
                "in intrinsics.yaml"
            )
        metres = baseline / NOMINAL_BASELINE
    names = ("height", "width", "align_corners", "exclude_invalid", "unit", "up_to_scale", "up_to_shift")
    return Rule(**{name: getattr(options, name) for name in names}, metres_per_unit=metres)


def _job(dataset: SequenceDataset, line: SplitLine, folder: Path, values: Path | None) -> Job:
    stem = folder / relative_path(line)
    focal_length = dataset.focal_length(line)  # in double precision: the published numerator is rounded once
    images = dataset.image_path(line, 0), dataset.image_path(line, "s")
    output = stem.with_name(f"{stem.name}.png")
    return Job(str(line), output, *images, values, focal_length, dataset.side(line))


def _is_there(folder: Path, line: SplitLine, wanted: str) -> bool:
    path = find_in(folder, line)
    if path.suffix == ".npy" or not path.is_file():
        return path.suffix == ".npy"
    made = how_it_was_made(path)
    if made != wanted:
        raise UserError(
            f"{path}: is a hint of another kind ({made}), not {wanted}; --overwrite, or another --save_path"
        )
    return True


# ---- one hint --------------------------------------------------------------------------------------------


def make(job: Job, rule: Rule) -> Made:
    """Makes a hint and writes it; what cannot be read is told.

    Raises:
        UserError: the hint cannot be written.
    """
    try:
        coded = _coded(job, rule)
    except UserError as error:
        return Made(job.line, str(error))
    write_hint(job.output, coded, rule.describe(job.focal_length))
    known = float((coded.steps > 0).mean())
    return Made(job.line, "", known, job.output.stat().st_size, coded.step)


def _coded(job: Job, rule: Rule) -> Coded:
    numerator = job.focal_length * rule.width * NOMINAL_BASELINE
    matched = _matched(job, rule, numerator) if rule.matches else None
    if job.values is None or rule.unit is None:
        assert matched is not None
        return Coded(matched, MATCHED_STEP, numerator)
    pixels = foreign.Pixels(rule.unit, numerator, rule.width, rule.metres_per_unit)
    disparity = pixels.disparity(foreign.read_values(job.values), rule.up_to_shift)
    disparity = foreign.resized(disparity, rule.height, rule.width)
    if matched is not None:
        align = foreign.scaled_and_shifted if rule.up_to_shift else foreign.scaled
        try:
            disparity = align(disparity, matched.astype(np.float32) * np.float32(MATCHED_STEP))
        except UserError as error:
            raise UserError(f"{job.values}: {error}") from None
    usable = np.isfinite(disparity) & (disparity > 0)
    return code(np.where(usable, disparity, np.float32(0)), numerator)


def _matched(job: Job, rule: Rule, numerator: float) -> np.ndarray:
    """uint16 (H, W), sixteenths of a pixel."""
    target, source = (
        to_array(resize(load_image(path), rule.height, rule.width)) for path in (job.target, job.source)
    )
    found = matching.candidates(target, source, job.side)
    depths = depth_of(found.astype(np.float32) * np.float32(MATCHED_STEP), numerator)
    focal_length, shift = job.focal_length * rule.width, job.side * NOMINAL_BASELINE
    error = fusion.errors(target, source, depths, focal_length, shift, rule.align_corners)
    return fusion.fuse(found, error, rule.exclude_invalid).chosen


# ---- all of them -----------------------------------------------------------------------------------------


def run(plan: Run) -> None:
    """Makes the hints; shows how fast, and how long it will take.

    Raises:
        UserError: a hint cannot be written; or, after all others are made, some of the list have none.
    """
    from tqdm import tqdm

    try:
        for made in tqdm(_results(plan), total=len(plan.jobs), desc="hints", unit="hint", disable=None):
            plan.made.append(made)
            if made.error:
                tqdm.write(f"no hint: {made.line}: {made.error}")
    except BrokenProcessPool:
        raise UserError(
            f"{folder_of(plan.options, plan.dataset)}: a process was ended from outside (out of memory?); run it "
            "again with fewer --num_workers, finished hints are kept"
        ) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted; finished hints are kept, the same command makes the others"
        ) from None


def _results(plan: Run) -> Iterator[Made]:
    workers = min(plan.options.num_workers or available_cores(), len(plan.jobs))
    if workers <= 1:
        with _one_thread():
            yield from (make(job, plan.rule) for job in plan.jobs)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, _start)
    try:
        futures = [executor.submit(make, job, plan.rule) for job in plan.jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV adds up as it does in a process of several."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _start() -> None:
    """What a process does first: Ctrl-C is for its parent, and the processes are the threads."""
    import cv2

    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def check(plan: Run) -> None:
    """Raises UserError where lines have no hint; names them."""
    bad = sorted((made.line, made.error) for made in plan.made if made.error)
    if bad:
        shown = "; ".join(f"{line}: {error}" for line, error in bad[:SHOWN])
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UserError(
            f"{len(bad)} of {len(plan.made)} hints could not be made: {shown}{more}; mend the files and run it again, "
            "or take the lines out of the list"
        )


def show(plan: Run, path: Path) -> str:
    """Paints the first line that has a hint; says how it differs from the measured depth.

    Raises:
        UserError: there is no hint, or a file cannot be read or written.
    """
    folder, dataset = folder_of(plan.options, plan.dataset), plan.dataset
    line = next((line for line in dataset.lines if find_in(folder, line).is_file()), None)
    if line is None:
        raise UserError(f"{folder}: there is no hint to paint as {path}")
    hint, truth = read_hint(find_in(folder, line))[0], dataset.truth(line)
    metres = (plan.options.baseline or dataset.baseline or NOMINAL_BASELINE) / NOMINAL_BASELINE
    image = to_array(load_image(dataset.image_path(line, 0)))
    picture.save(path, picture.paint(image, metres * hint, truth))
    return f"{path}: {line}" + ("" if truth is None else f"; {picture.compare(metres * hint, truth)}")
