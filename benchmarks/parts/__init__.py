"""The parts of the check on a GPU, in the order in which they run."""

from dataclasses import dataclass

WHOLE_SECONDS = 300  # of all parts together on a GPU


@dataclass(frozen=True)
class Part:
    """A module of this package with a function `measure(setting)`.

    Attributes:
        seconds: after which it is stopped.
        subject: what it measures.
        timed: whether other work on this machine would falsify it.
    """

    seconds: int
    subject: str
    timed: bool = True


PARTS: dict[str, Part] = {
    "machine": Part(20, "machine, driver, versions, whether float32 is float32", timed=False),
    "golden": Part(60, "the recorded numbers of every method", timed=False),
    "step": Part(90, "the training step beside a plain one, in every precision, and where its time goes"),
    "loader": Part(30, "images a second by threads, and the cores that keep the GPU busy"),
    "prediction": Part(30, "images a second from arrays and files, one by one and in batches"),
    "resume": Part(50, "a killed run beside a whole one, and what is not deterministic", timed=False),
    "demo": Part(150, "the short run of the main job on the rendered drive"),
}
