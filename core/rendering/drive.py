"""Renders a whole data set, frames in parallel; can be interrupted and taken up again."""

import dataclasses
import functools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.cores import available_cores, end_with_parent
from core.errors import UserError
from core.files import plain_yaml
from core.rendering import writer
from core.rendering.camera import render_view
from core.rendering.lens import lens_of
from core.rendering.lidar import scan
from core.rendering.options import RenderOptions
from core.rendering.rig import Rig, is_plain_pinhole
from core.rendering.street import Plan, Street
from core.rendering.views import look

VERSION = 1  # of the pictures: raise it when the same options give other bytes
MANIFEST = "drive.yaml"
_CAMERA = ("camera", "camera_parameters", "axis", "max_angle")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Drive:
    """A drive of the set. Streets are numbered through; drive numbers begin at 1."""

    split: str
    index: int
    frames: int

    @property
    def number(self) -> int:
        return self.index + 1


def drives(options: RenderOptions) -> list[Drive]:
    """The drives in order: training, validation, test."""
    kinds = (
        [("train", options.frames)] * options.train_drives
        + [("val", options.val_frames)] * options.val_drives
        + [("test", options.test_frames)] * options.test_drives
    )
    return [Drive(split, index, frames) for index, (split, frames) in enumerate(kinds)]


def render_set(options: RenderOptions, progress: bool = True) -> bool:
    """Writes the data set, or what is missing of it. Returns False when it was already whole.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    root = Path(options.output)
    wanted = {"renderer": VERSION, "options": _deciding(options)}
    known = _read_manifest(root)
    if known is not None and {key: known.get(key) for key in wanted} != wanted:
        raise UserError(
            f"{root}: holds a set of other options ({MANIFEST}); choose another --output or delete it"
        )
    rig = _rig(options)
    missing = _missing(root, options, not is_plain_pinhole(rig.camera))
    if known is not None and known.get("complete") is True and not missing:
        return False
    _write_manifest(root, wanted, complete=False)
    for name, text in rig.files().items():
        writer.write(root / writer.DATE / name, text)
    plans = {drive: Plan(options.seed, drive.index, drive.frames) for drive in drives(options)}
    for drive, plan in plans.items():
        writer.write_drive(root, drive.number, drive.index, plan, rig)
    lines = [(drive.split, drive.number, drive.frames) for drive in plans]
    writer.write_splits(root, lines)
    if not is_plain_pinhole(rig.camera):
        writer.write_rays(root / writer.RAYS, rig.camera, options.height, options.width)
        writer.write_folder_splits(root, lines)
        for drive, plan in plans.items():
            writer.write_poses(root, drive.number, plan, rig)
    _render(options, missing, progress)
    _write_manifest(root, wanted, complete=True)
    return True


def _deciding(options: RenderOptions) -> dict[str, Any]:
    """The options that decide what the files hold."""
    values = dataclasses.asdict(options)
    usual = {field.name: field.default for field in dataclasses.fields(RenderOptions)}
    # Sets that are older than these options are as they would be with the usual values.
    left_out = {"output", "workers"} | {name for name in _CAMERA if values[name] == usual[name]}
    return {name: value for name, value in values.items() if name not in left_out}


def _rig(options: RenderOptions) -> Rig:
    numbers = None if options.camera_parameters is None else tuple(options.camera_parameters)
    size = options.height, options.width
    return Rig(*size, lens_of(options.camera, numbers, options.max_angle, *size), options.axis == "up")


def _read_manifest(root: Path) -> dict[str, Any] | None:
    try:
        known = plain_yaml.parse(plain_yaml.read_text(root / MANIFEST))
    except FileNotFoundError:
        if root.is_dir() and any(root.iterdir()):
            raise UserError(
                f"{root}: is not empty and has no {MANIFEST}; choose a new folder as --output"
            ) from None
        return None
    except OSError as error:
        raise UserError(
            f"{root}: cannot be used as --output ({error.strerror}); choose another folder"
        ) from error
    except plain_yaml.NotPlainError:
        known = None
    if not isinstance(known, dict):
        raise UserError(f"{root / MANIFEST}: is damaged; delete the folder or choose another --output")
    return known


def _write_manifest(root: Path, wanted: dict[str, Any], complete: bool) -> None:
    import yaml

    writer.write(root / MANIFEST, yaml.safe_dump({**wanted, "complete": complete}, sort_keys=False))


def _missing(root: Path, options: RenderOptions, ranges: bool) -> list[tuple[Drive, int]]:
    """Frames of which a file is absent or empty."""
    found = []
    for drive in drives(options):
        for frame in range(drive.frames):
            files = writer.frame_files(root, drive.number, frame, options.format, ranges).values()
            if not all(path.is_file() and path.stat().st_size > 0 for path in files):
                found.append((drive, frame))
    return found


def _render(options: RenderOptions, missing: list[tuple[Drive, int]], progress: bool) -> None:
    from tqdm import tqdm

    # A street takes seconds to build: a worker keeps to one drive as long as there are drives enough.
    workers = min(options.workers or available_cores(), max(1, len(missing)))
    jobs = _jobs(options, missing, workers)
    with tqdm(total=len(missing), unit="frame", desc="rendering", disable=None if progress else True) as bar:
        if workers == 1:
            for job in jobs:
                _work(job, bar.update)
            return
        context = multiprocessing.get_context("spawn")
        counter = context.Value("i", 0)
        executor = ProcessPoolExecutor(workers, context, _start, (counter,))
        try:
            with _one_thread_each():  # the processes start with the first jobs
                waiting = {executor.submit(_work, job) for job in jobs}
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                bar.update(counter.value - bar.n)
                for future in done:
                    future.result()
        except BrokenProcessPool:
            raise UserError(
                f"{options.output}: a rendering process was ended from outside (out of memory?); "
                "run it again with fewer --workers, finished frames are kept"
            ) from None
        finally:
            executor.shutdown(cancel_futures=True)


Job = tuple[RenderOptions, Drive, list[int]]


def _jobs(options: RenderOptions, missing: list[tuple[Drive, int]], workers: int) -> list[Job]:
    by_drive: dict[Drive, list[int]] = {}
    for drive, frame in missing:
        by_drive.setdefault(drive, []).append(frame)
    pieces = 1 if workers == 1 else -(-2 * workers // max(1, len(by_drive)))
    jobs: list[Job] = [
        (options, drive, [int(frame) for frame in part])
        for drive, frames in by_drive.items()
        for part in np.array_split(frames, min(pieces, len(frames)))
    ]
    return sorted(jobs, key=lambda job: -len(job[2]))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside keep their numerical libraries to one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update({name: "1" for name in _THREADS})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_counter: Any = None


def _start(counter: Any) -> None:
    global _counter
    import cv2

    end_with_parent()
    cv2.setNumThreads(1)
    _counter = counter


def _count() -> None:
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += 1


def _work(job: Job, done: Any = None) -> None:
    options, drive, frames = job
    for frame in frames:
        render_frame(options, drive, frame)
        (done or _count)()


@functools.lru_cache(maxsize=1)
def _street(seed: int, index: int, frames: int) -> Street:
    return Street(Plan(seed, index, frames))


def render_frame(options: RenderOptions, drive: Drive, frame: int) -> None:
    """Writes the files of one frame; a function of the options listed in `drive.yaml` and nothing else."""
    street = _street(options.seed, drive.index, drive.frames)
    rig = _rig(options)
    scene = street.scene(frame)
    ranges = not is_plain_pinhole(rig.camera)
    files = writer.frame_files(Path(options.output), drive.number, frame, options.format, ranges)
    T_world_rectified = street.plan.T_world_rectified(frame, rig)
    rng = np.random.default_rng([options.seed, drive.index, 2, frame])
    points = scan(scene, T_world_rectified @ rig.T_rectified_velodyne, options.azimuths, rng)
    writer.write(files["scan"], points.tobytes())
    for camera in writer.SIDES:
        T = T_world_rectified @ np.linalg.inv(rig.T_camera_rectified(camera))
        seen = render_view(scene, look(rig.camera, T, options.height, options.width), options.samples)
        writer.write(files[f"depth_{camera:02d}"], writer.encode_depth(seen.depth))
        if ranges:
            writer.write(files[f"range_{camera:02d}"], writer.encode_depth(seen.range))
        writer.write(files[f"image_{camera:02d}"], writer.encode_image(seen.image, options.format))
