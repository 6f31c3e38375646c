"""PackNet's prediction with fused packing, beside the two convolutions after each other, in turns.

    python -m benchmarks.packing [torch|paddle] [--width_divisor 1|2|4] [--height 192 --width 640] [--rounds 5]

Random weights: their numbers do not matter to the speed. One thread unless OMP_NUM_THREADS says otherwise. Times are
those of the processor, of all threads: they do not grow when others use the machine.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from backends import BACKENDS, load_backend
from benchmarks import Row, table
from core.options.methods.packnet import PackNetOptions
from core.options.parsing import save_options
from core.weights.folder import OPTIONS_FILE


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python -m benchmarks.packing torch"
    )
    parser.add_argument("backend", nargs="?", default="torch", choices=tuple(BACKENDS))
    parser.add_argument("--width_divisor", type=int, default=1, choices=(1, 2, 4))
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table([measure(asked)]))


def measure(asked: argparse.Namespace) -> Row:
    """The median processor seconds of a pass either way, as their ratio, and how far the two disparities are apart."""
    with TemporaryDirectory() as folder:
        weights = make_weights(asked, Path(folder))
        predictor = load_backend(asked.backend, "predictor").Predictor
        one, two = (predictor(weights, "cpu", fused_packing=fused) for fused in (True, False))
    image = np.random.default_rng(0).integers(0, 256, (asked.height, asked.width, 3), np.uint8)
    found = [one.disparity([image]), two.disparity([image])]  # makes the fused weights, too
    seconds: list[list[float]] = [[], []]
    for _ in range(asked.rounds):
        for mine, each in zip(seconds, (one, two), strict=True):
            start = time.process_time()
            each.disparity([image])
            mine.append(time.process_time() - start)
    small = f" / {asked.width_divisor}" if asked.width_divisor > 1 else ""
    job = f"PackNet01{small} at {asked.width}x{asked.height}, {asked.backend}: fused packing"
    difference = float(np.abs(found[0] / found[1] - 1).max())
    fused, plain = map(statistics.median, seconds)
    return Row.of_costs(job, plain, fused, "s", difference).ratio_alone()


def make_weights(asked: argparse.Namespace, folder: Path) -> Path:
    """A folder of fresh weights of that size."""
    options: Any = PackNetOptions(
        height=asked.height, width=asked.width, width_divisor=asked.width_divisor, weights_init="scratch"
    )
    load_backend(asked.backend, "tensors").seed_everything(0)
    method = load_backend(asked.backend, "methods").make_method(options)
    checkpoint = load_backend(asked.backend, "checkpoint")
    checkpoint.save_networks({"depth": method.networks()["depth"]}, folder, {})
    save_options(options, folder / OPTIONS_FILE)
    return folder


if __name__ == "__main__":
    main()
