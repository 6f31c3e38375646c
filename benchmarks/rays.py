"""The streamed search of viewing rays, beside the plain one that gathers every candidate: memory and seconds.

    python -m benchmarks.rays [torch|paddle] [--side 128] [--warps 2] [--rounds 2]

Forward and backward, float32, each in a process of its own. One thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from backends import BACKENDS, load_backend
from benchmarks import Row, table

RADIUS, TEMPERATURE = 20, 1e-4


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("backend", nargs="?", default="torch", choices=tuple(BACKENDS))
    parser.add_argument("--side", type=int, default=128, help="of the image; it is searched at half of that")
    parser.add_argument("--warps", type=int, default=2, help="directions of each pixel")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", choices=("plain", "streamed"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if asked.one is not None:
        print(json.dumps(measure(asked, asked.one)))
        return
    plain, streamed = (in_a_process(kind) for kind in ("plain", "streamed"))
    job = f"search at {asked.side // 2}x{asked.side // 2}, {asked.warps} warps, {asked.backend}"
    apart = max(
        float(np.abs(np.subtract(one, other)).max() / np.abs(other).max())
        for one, other in zip(streamed["found"], plain["found"], strict=True)
    )
    memory = Row.of_costs(f"{job}: memory", plain["memory"], streamed["memory"], "MB", apart)
    print(
        table(
            [memory, Row.of_costs(f"{job}: time", plain["seconds"], streamed["seconds"], "s").ratio_alone()]
        )
    )


def in_a_process(kind: str) -> dict[str, Any]:
    """What `measure` finds there: what a process has held at most cannot be forgotten."""
    command = [sys.executable, "-m", "benchmarks.rays", *sys.argv[1:], "--one", kind]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(asked: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Megabytes above those before, the median seconds, and sums of what was found and of its gradients."""
    tensors, search = load_backend(asked.backend, "tensors"), load_backend(asked.backend, "losses.ray_search")
    rays, directions = fields(asked.side // 2, asked.warps)
    run = plain_search if kind == "plain" else search.soft_search
    seconds, before = [], held()
    for _ in range(asked.rounds):
        inputs = [tensors.to_tensor(one, tensors.choose_device("cpu")) for one in (directions, rays)]
        for one in inputs:
            set_differentiable(one)
        start = time.perf_counter()
        row, column, *_ = run(*inputs, TEMPERATURE, RADIUS)
        (row.sum() + (column * column).sum()).backward()
        seconds.append(time.perf_counter() - start)
    gradients = [tensors.to_array(one.grad) for one in inputs]
    found = [tensors.to_array(one)[0, :, ::4, ::4].tolist() for one in (row, column)]
    found += [gradients[0][0, :, :, ::4, ::4].tolist(), gradients[1][0, :, ::4, ::4].tolist()]
    return {"memory": held() - before, "seconds": statistics.median(seconds), "found": found}


def held() -> float:
    """The most that this process has held so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def set_differentiable(tensor: Any) -> None:
    """Gradients are asked for it, in either framework's words."""
    if hasattr(tensor, "stop_gradient"):
        tensor.stop_gradient = False
    else:
        tensor.requires_grad_()


def fields(side: int, warps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays (1, 3, side, side) of a pinhole camera, and directions (1, warps, 3, side, side) some pixels beside them."""
    v, u = np.mgrid[:side, :side] / (side - 1) - 0.5
    rays = np.stack([2 * u, 2 * v, np.ones_like(u)])
    moved = rays + np.random.default_rng(0).normal(0, 0.03, (warps, 3, 1, 1))
    rays, moved = (one / np.linalg.norm(one, axis=-3, keepdims=True) for one in (rays, moved))
    return rays[None].astype(np.float32), moved[None].astype(np.float32)


def plain_search(directions: Any, rays: Any, temperature: float, radius: int) -> tuple[Any, Any]:
    """Every candidate of every pixel at once, left to the framework's own gradients; one sample."""
    height, width = rays.shape[2:]
    backend = type(rays).__module__.partition(".")[0]
    tensors, window = load_backend(backend, "tensors"), load_backend(backend, "losses.ray_search").window
    rows, columns = (
        np.array(starts)[:, None] + np.arange(side)
        for side, starts in (window(height, radius), window(width, radius))
    )
    shape = (height, width, rows.shape[1], columns.shape[1])
    places = np.broadcast_to((rows * width)[:, None, :, None] + columns[None, :, None], shape)
    rays = rays.flatten(2)[0][:, tensors.to_tensor(places.reshape(-1).copy())]  # all candidates of all pixels
    rays = rays.reshape((1, 3, height, width, -1))
    logits = (directions.unsqueeze(-1) * rays).sum(2) / temperature
    greatest = logits.detach().amax(-1).unsqueeze(-1)
    weights = (logits - greatest).exp()
    weights = weights / weights.sum(-1).unsqueeze(-1)
    found = []
    for index in (rows[:, None, :, None], columns[None, :, None]):
        values = np.broadcast_to(index, shape).reshape((height, width, -1)).astype(np.float32)
        found.append((weights * tensors.to_tensor(values)).sum(-1))
    return found[0], found[1]


if __name__ == "__main__":
    main()
