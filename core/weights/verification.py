"""Whether networks in two sets of files compute the same, each set in a backend and a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
HEIGHT, WIDTH = 96, 160
BOUND = 1e-5  # of an output's largest value: network outputs in float32, two frameworks, a CPU


@dataclass(frozen=True)
class Difference:
    """How far the outputs of one network are apart, relative to the largest value of each."""

    network: str
    largest: float

    @property
    def passed(self) -> bool:
        """Whether it is within the bound; never for values that are no numbers."""
        return self.largest <= BOUND


def fixed_images(count: int) -> np.ndarray:
    """(1, 3 · count, HEIGHT, WIDTH) float32 in [0, 1]: the same noise everywhere."""
    return np.random.default_rng(0).uniform(size=(1, 3 * count, HEIGHT, WIDTH)).astype(np.float32)


def fixed_depth() -> np.ndarray:
    """(1, 1, HEIGHT, WIDTH) float32, metres: of one pixel in ten, 0 of the others."""
    rng = np.random.default_rng(2)
    shape = (1, 1, HEIGHT, WIDTH)
    return np.where(rng.uniform(size=shape) < 0.1, rng.uniform(2, 80, shape), 0).astype(np.float32)


def fixed_features(channels: Sequence[int]) -> list[np.ndarray]:
    """What an encoder could give for such an image, for decoders that come without one: at half the size, a quarter, …

    Args:
        channels: of each feature, finest first.
    """
    rng = np.random.default_rng(1)
    return [
        rng.uniform(size=(1, count, HEIGHT // 2**level, WIDTH // 2**level)).astype(np.float32)
        for level, count in enumerate(channels, start=1)
    ]


def outputs_in_process(backend: str, files: Sequence[Path]) -> dict[str, np.ndarray]:
    """What the networks of a set of files return, `{"<network>/<number>": array}`, in a process of its own.

    Raises:
        UserError: a file cannot be loaded, or the process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "outputs.npz"
        command = [sys.executable, "-m", "backends.outputs", backend, str(result)]
        done = subprocess.run(
            [*command, *(str(path.absolute()) for path in files)], cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"verification in {backend}: {reason.removeprefix('error: ')}")
        with np.load(result, allow_pickle=False) as arrays:
            return dict(arrays)


def compare(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[Difference]:
    """The largest difference of each network's outputs.

    Raises:
        UserError: they are not of the same networks.
    """
    if one.keys() != other.keys():
        names = ", ".join(sorted(one.keys() ^ other.keys()))
        raise UserError(
            f"--verify: only one side has the outputs {names}; rename the files as their networks are"
        )
    largest: dict[str, float] = {}
    for name, array in one.items():
        network = name.partition("/")[0]
        difference = float(np.abs(array.astype(np.float64) - other[name]).max())
        relative = difference / (float(np.abs(array).max()) or 1.0)
        # Not `max`, which drops what is no number.
        largest[network] = float(np.maximum(largest.get(network, 0.0), relative))
    return [Difference(network, value) for network, value in largest.items()]


def choose_backends(layouts: set[str], to: str, installed: Sequence[str]) -> tuple[str, str]:
    """The backends that load the source and the result.

    Each side's own where it is installed: that of its layout, and for a neutral format the one that differs from the
    other side's. Either backend reads the files of both.

    Args:
        layouts: of the source's files.
        to: format of the result.
        installed: backends that can be imported.

    Raises:
        UserError: none is installed.
    """
    if not installed:
        raise UserError("--verify: takes PyTorch or PaddlePaddle; pip install torch, or paddlepaddle")
    source = "paddle" if layouts == {"paddle"} else "torch"
    result = to if to in ("torch", "paddle") else {"torch": "paddle", "paddle": "torch"}[source]
    return tuple(name if name in installed else installed[0] for name in (source, result))  # type: ignore[return-value]
