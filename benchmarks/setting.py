"""What every part of the check is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from backends.torch.tensors import choose_device
from benchmarks.results import Report

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Setting:
    """Where a part writes, on what it runs, and how large.

    Attributes:
        output: folder of the whole check.
        report: of this part.
        small: sizes for a trial on a CPU.
    """

    output: Path
    report: Report
    small: bool

    @property
    def device(self) -> torch.device:
        """The GPU, or a CPU where there is none."""
        return choose_device("auto")

    @property
    def on_gpu(self) -> bool:
        """Whether absolute times mean anything."""
        return self.device.type == "cuda"

    def synchronise(self) -> None:
        """Waits until the GPU has done what it was asked: its work is only begun by the call that asks."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def seconds(self, job: Callable[[], object]) -> float:
        """The time of one call, with all its work on the GPU."""
        self.synchronise()
        start = perf_counter()
        job()
        self.synchronise()
        return perf_counter() - start

    def medians(self, jobs: dict[str, Callable[[], object]], rounds: int, warm: int = 1) -> dict[str, float]:
        """Median seconds of each job. They take turns: a machine that slows down slows all of them."""
        for job in [*jobs.values()] * warm:
            job()
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(rounds):
            for name, job in jobs.items():
                times[name].append(self.seconds(job))
        return {name: median(values) for name, values in times.items()}

    def peak_memory(self, job: Callable[[], object]) -> float | None:
        """GiB that a call needs at most beyond what lay there before; None on a CPU."""
        if not self.on_gpu:
            return None
        self.synchronise()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        job()
        self.synchronise()
        return (torch.cuda.max_memory_allocated() - before) / 2**30


def keep_float32() -> None:
    """TF32 off: NVIDIA's libraries would round the factors of products to 10 bits.

    By PyTorch's switches, not the variable of `backends/__init__.py`: that one holds for a whole process.
    """
    use_tf32(False)


def use_tf32(on: bool) -> None:
    """Switches TF32 for products and convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def product_error(device: torch.device) -> float:
    """Largest relative error of a float32 product: 1e-6 or so, and about 1e-3 where TF32 is on."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 512, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    return (
        (a.to(device) @ b.to(device)).cpu().double() - exact
    ).abs().max().item() / exact.abs().max().item()
