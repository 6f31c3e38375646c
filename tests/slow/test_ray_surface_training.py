"""Neural ray surfaces: all recorded steps of both trainings."""

import pytest

from tests.backends.methods import test_ray_surface as method

pytestmark = pytest.mark.every_device


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(("count", "steps"), [(1, 3), (2, 2)])
def test_the_recorded_steps(backend, golden, arrays, precision, count, steps):
    recorded, trained, rows, target = method.run_steps(backend, golden, arrays, precision, count, steps)
    method.check_rows(recorded, rows, precision, count)
    names = golden("ray_surface/names.json")
    method.check_end(backend, recorded, names, trained, target, precision, count)
