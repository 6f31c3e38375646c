"""The backend under test: `pytest tests/backends --backend paddle`. One process tests one backend."""

import pytest

from backends import installed_backends
from tests.backends.adapter import Adapter


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Adapter:
    """The chosen backend behind an array interface; skipped where its framework is not installed."""
    name = request.config.getoption("--backend")
    if name not in installed_backends():
        pytest.skip(f"{name} is not installed")
    return Adapter(name)
