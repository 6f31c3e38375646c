"""The fixtures of the backends' tests."""

from tests.backends.conftest import backend, drive, runs, tiny

__all__ = ["backend", "drive", "runs", "tiny"]
