"""Paddle's `.pdparams` and `.pdopt`: a pickle of `{name: ndarray}`, read without executing what a pickle may hide."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.files.whole import write_atomically
from core.weights.files import open_file, unreadable
from core.weights.pickles import Unpickler, state_arrays


def read_pdparams(path: Path) -> dict[str, np.ndarray]:
    """Reads the parameters of one network, or of one optimiser.

    Returns:
        `{name: array}` in the file's order, of the top or of `state_dict` or `model` in it. bfloat16, which Paddle
        stores as the uint16 of its bits, is widened to float32. Python's numbers become 0-d arrays; containers
        beside the arrays, such as Paddle's table of names, are passed over.

    Raises:
        UserError: unreadable, damaged, without arrays, or asking for anything but arrays.
    """
    file, size = open_file(Path(path))
    try:
        with file:
            return state_arrays(Unpickler(file, size).load(), size)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise unreadable(path, ".pdparams file of arrays", error) from None


def write_pdparams(path: Path, arrays: Mapping[str, np.ndarray], key: str | None = None) -> None:
    """Writes `{name: array}`, or `{key: {name: array}}`, so that `paddle.load` reads it, atomically."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = pickle.dumps(plain if key is None else {key: plain}, protocol=4)
    write_atomically(Path(path), lambda temporary: _write_bytes(temporary, content))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
