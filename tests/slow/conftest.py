"""The fixtures of the backends' tests."""

from tests.backends.conftest import backend, drive, runs

__all__ = ["backend", "drive", "runs"]
