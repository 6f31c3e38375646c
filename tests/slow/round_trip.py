"""Converts the large networks, which the tests leave out, through every format and compares their bits.

.venv/bin/python -m tests.slow.round_trip
"""

import tempfile
from pathlib import Path

from tests.core.weights.test_conversion import LARGE, assert_round_trip


def main() -> None:
    """Ends with an AssertionError if a bit has changed."""
    with tempfile.TemporaryDirectory() as folder:
        assert_round_trip(Path(folder), LARGE)
    print(f"{len(LARGE)} networks came back bit-identical from every format")


if __name__ == "__main__":
    main()
