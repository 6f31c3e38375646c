"""The benchmarks of `python -m benchmarks`, in the order of its table.

Each is a module of this package with a function `measure()` that returns or yields `benchmarks.Row`s; it runs in a
process of its own, on one thread, with the root of the checkout as its folder. `benchmarks/timing.py` times two
versions in turns.
"""

from dataclasses import dataclass

WHOLE_SECONDS = 900  # of all benchmarks together, without those of growth


@dataclass(frozen=True)
class Job:
    """A module of this package with a function `measure()`.

    Attributes:
        seconds: after which it is stopped; what it had by then counts.
        subject: what it measures.
        package: that it cannot do without, such as a framework.
    """

    seconds: int
    subject: str
    package: str = ""


JOBS: dict[str, Job] = {
    "loading": Job(120, "training samples from files and from memory"),
    "truth": Job(60, "ground truth of scans"),
    "evaluation": Job(30, "depth metrics of an image"),
    "prediction": Job(180, "predict.py on one image and on more, and the network alone", "torch"),
    "warp_and_loss": Job(120, "warp and loss of a training step, and bytes to floats", "torch"),
    "step": Job(240, "a whole training step, and its memory", "torch"),
}

# How cost grows with size: rows without a plain version, and without a limit of time for all of them.
GROWTH: dict[str, Job] = {
    "grown_evaluation": Job(600, "evaluation of 100 and 700 saved predictions"),
    "grown_prediction": Job(1800, "prediction of 10, 100 and 1,000 images", "torch"),
    "grown_step": Job(1800, "a training step of several batches and sizes", "torch"),
}
