"""Converts the networks that the tests leave out through every format and compares their bits.

.venv/bin/python -m tests.slow.round_trip
"""

import tempfile
from pathlib import Path

import torch

from tests.backends.test_native_files import LARGE, check_round_trip


def main() -> None:
    """Ends with an AssertionError if a bit has changed."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (layers, case) in enumerate(LARGE):
            check_round_trip(torch, Path(folder) / str(number), layers, case)
    print(f"{len(LARGE)} networks came back bit-identical from every format")


if __name__ == "__main__":
    main()
