"""How a training step in PyTorch grows with batch and size: its time, and the memory of a process that takes some."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import Row
from benchmarks.costs import costs_of
from benchmarks.frames import Repeated, make_frames, options_on
from core.datasets.loader import batches

BATCHES, SIZES = (1, 2, 4, 8), ((128, 416), (192, 640), (320, 1024))
STEPS = 3  # that count


def measure() -> Iterator[Row]:
    """A process for each batch and size."""
    with TemporaryDirectory() as name:
        make_frames(Path(name), small=False, count=2 + 2 * max(BATCHES))
        for height, width in SIZES:
            for batch in BATCHES:
                seconds = Path(name) / "seconds"
                words = ["-m", "benchmarks.jobs.grown_step", name, *map(str, (batch, height, width))]
                cost = costs_of(words)
                job = f"training step, {width}x{height}, batch {batch}"
                yield Row(job, None, float(seconds.read_text(encoding="ascii")), None, unit="s")
                yield Row(f"{job}, memory", None, cost.mebibytes, None, unit="MiB")


def main() -> None:
    """Takes some steps; writes the median of their seconds."""
    from backends.torch.trainer import Trainer

    folder, (batch, height, width) = Path(sys.argv[1]), map(int, sys.argv[2:])
    options = options_on(
        folder / "frames", small=False, height=height, width=width, batch_size=batch, device="cpu"
    )
    trainer, times = Trainer(options, pretrained=False), []
    samples = Repeated(options, batch * (STEPS + 1))
    loaded = batches(samples, 0, batch, shuffle=False, seed=0, num_workers=0, drop_last=True)
    for number, arrays in enumerate(loaded):
        start = time.perf_counter()
        trainer.train_step(number, [arrays])
        times.append(time.perf_counter() - start)
    (folder / "seconds").write_text(repr(median(times[1:])), encoding="ascii")


if __name__ == "__main__":
    main()
