"""The arrays of recorded numbers are those of their own module, though the tests make them faster."""

import importlib.util

import pytest

from tests.conftest import PIECE


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (PIECE,), (2, PIECE + 3)], ids=str)
@pytest.mark.parametrize("kind", ["uniform", "uniform64"])
def test_the_same_bits(arrays, shared, kind, shape):
    specification = importlib.util.spec_from_file_location("theirs", shared / "golden" / "arrays.py")
    theirs = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(theirs)
    for bounds in ((), (-0.3, 0.7), (2.0, 6.0)):
        found, expected = (getattr(one, kind)(f"a name/{shape}", shape, *bounds) for one in (arrays, theirs))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
