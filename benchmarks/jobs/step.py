"""A whole training step in PyTorch beside one to the letter: its time, and the memory of a process that takes one."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks import Row
from benchmarks.costs import costs_of
from benchmarks.frames import Repeated, make_frames, options_on
from benchmarks.timing import compare
from core.datasets.loader import batches
from core.datasets.sample import Sample
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options

BATCH, ROUNDS = 4, 2
WANTED = {"32": 1.6, "bf16": 3.0}
BOUND = {"32": 1e-5, "bf16": 5e-2}  # of the loss of the first step, relative
MEMORY = 1 / 0.8


def measure() -> Iterator[Row]:
    """At 640x192, in every precision that this CPU has instructions for."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_frames(folder, small=False, count=2 + BATCH)
        plain, precisions = step_of(folder, "plain"), ["32"]
        first = plain()
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            precisions.append("bf16")
        for precision in precisions:
            ours = step_of(folder, precision)
            difference = abs(ours() / first - 1)  # both of the initial weights
            if not difference <= BOUND[precision]:
                raise UserError(f"the plain loss differs from ours by {difference:.1e}")
            job = f"training step, {'float32' if precision == '32' else precision}"
            wanted = WANTED[precision]
            yield compare(job, plain, ours, rounds=ROUNDS, wanted=wanted, difference=difference, warm=0)
        yield memory(folder)


def memory(folder: Path) -> Row:
    """Of whole processes, with the framework and the weights."""
    words = ["-m", "benchmarks.jobs.step", str(folder)]
    costs = [costs_of([*words, which]).mebibytes for which in ("plain", "32")]
    return replace(Row.of_costs("training step, memory of the process", *costs, "MiB"), wanted=MEMORY)


def step_of(folder: Path, which: str) -> Callable[[], float]:
    """A function that takes a step and returns the loss before it; `plain`, or a precision of ours."""
    from backends.torch.trainer import Trainer
    from benchmarks.plain import PlainTrainer

    options = options_on(
        folder / "frames",
        small=False,
        batch_size=BATCH,
        device="cpu",
        precision="32" if which == "plain" else which,
    )
    trainer, arrays = Trainer(options, pretrained=False), samples(options)
    if which == "plain":
        plain = PlainTrainer(trainer.method, trainer.device)
        return lambda: plain.train_step(0, arrays)
    return lambda: trainer.train_step(0, [arrays])[0]["loss"]


def samples(options: Monodepth2Options) -> Sample:
    """One batch."""
    loaded = Repeated(options, BATCH)
    return next(batches(loaded, 0, BATCH, shuffle=False, seed=0, num_workers=0, drop_last=True))


def main() -> None:
    """Takes one step."""
    step_of(Path(sys.argv[1]), sys.argv[2])()


if __name__ == "__main__":
    main()
