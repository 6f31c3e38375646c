"""Prediction in PyTorch: `predict.py` as a process, and the network alone, beside both to the letter."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from backends.torch.predictor import Predictor
from backends.torch.trainer import Trainer
from benchmarks import Row
from benchmarks.frames import images, make_frames, options_on
from benchmarks.parts.prediction import Plain
from benchmarks.run import ROOT, environment
from benchmarks.timing import compare, row_of_times
from core.errors import UserError
from core.files.images import load_image, resize, to_array

FURTHER, PROCESSES, ROUNDS = 8, 4, 9
BOUND = {"32": 1e-5, "bf16": 5e-2}  # relative; float32: another layout of memory adds in another order
WANTED = {"32": 1.5, "bf16": 3.0}


def measure() -> Iterator[Row]:
    """Of frames as KITTI's, at 640x192."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        frames = make_frames(folder, small=False, count=1 + FURTHER)
        weights = folder / "weights"
        Trainer(options_on(frames, small=False, batch_size=1), pretrained=False).save(weights)
        yield from network_alone(weights, images(frames)[0])
        yield from processes(folder, weights, images(frames))


def network_alone(weights: Path, path: Path) -> Iterator[Row]:
    """Of one image that has its size."""
    plain = Plain(Predictor(weights, "cpu"))
    image = to_array(resize(load_image(path), plain.height, plain.width))
    for precision, wanted in WANTED.items():
        if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            continue  # without its instructions a CPU takes ten times as long as in float32
        ours = Predictor(weights, "cpu", precision=precision)
        difference = float(np.abs(ours.disparity([image]) / plain.one(image) - 1).max())
        require(difference, BOUND[precision])
        job = f"inference of an image, network only, {'float32' if precision == '32' else precision}"
        yield compare(
            job,
            lambda: plain.one(image),
            lambda ours=ours: ours.disparity([image]),
            rounds=ROUNDS,
            wanted=wanted,
            difference=difference,
        )


def processes(folder: Path, weights: Path, paths: Sequence[Path]) -> Iterator[Row]:
    """One image, and what each further one adds; the times of whole processes, taken in turns."""
    (folder / "one").mkdir()
    (folder / "all").mkdir()
    shutil.copy(paths[0], folder / "one")
    for path in paths:
        shutil.copy(path, folder / "all")
    times: dict[str, list[float]] = {"plain one": [], "ours one": [], "plain all": [], "ours all": []}
    for number in range(PROCESSES + 1):
        for case in times:
            which, source = case.split()
            seconds = run(folder, weights, which, source)
            times[case] += [seconds] if number else []  # the first fills the memory of the disk
    difference = max(
        float(np.abs(np.load(folder / "ours all" / name) / np.load(folder / "plain all" / name) - 1).max())
        for name in (f"{path.stem}_disp.npy" for path in paths)
    )
    require(difference, BOUND["32"])
    job = "predict.py on one image"
    yield row_of_times(job, times["plain one"], times["ours one"], wanted=2, difference=difference)
    further = [
        [
            (more - one) / FURTHER
            for more, one in zip(times[f"{which} all"], times[f"{which} one"], strict=True)
        ]
        for which in ("plain", "ours")
    ]
    yield row_of_times(f"{job}, each further", *further, wanted=1.5, difference=difference)


def run(folder: Path, weights: Path, which: str, source: str) -> float:
    """The seconds of a process, which writes disparities and their colours."""
    output = folder / f"{which} {source}"
    shutil.rmtree(output, ignore_errors=True)
    if which == "plain":
        words = ["-m", "benchmarks.plain_prediction", weights, folder / source, output]
    else:
        words = ["predict.py", "--load_weights_folder", weights, "--image_path", folder / source]
        words += ["--output", output, "--save", "disparity", "colour", "--device", "cpu"]
    start = perf_counter()
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, env=environment(), check=True)
    return perf_counter() - start


def require(difference: float, bound: float) -> None:
    """Raises UserError where two predictions are not alike."""
    if not difference <= bound:
        raise UserError(f"the plain prediction differs from ours by {difference:.1e}, bound {bound:.0e}")
