"""Neural ray surfaces: recorded losses of several scales, and the network of 50 layers; two minutes."""

import pytest

from tests.backends.methods import test_ray_surface_networks as networks
from tests.backends.methods.test_ray_surface_losses import (
    CASES,
    check_case,
    check_single_precision,
    geometry,
    losses,
)

__all__ = ["geometry", "losses", "names", "recorded"]  # fixtures

names, recorded = networks.names, networks.recorded
pytestmark = pytest.mark.every_device


@pytest.mark.parametrize("case", ["default_0", "default_02", "dummy_05"])
def test_recorded_losses_of_ray_surfaces(backend, arrays, geometry, losses, case):
    check_case(backend, arrays, geometry, losses, case)


@pytest.mark.parametrize("case", [case for case in CASES if case != "l1_min" and not CASES[case][3]])
def test_recorded_losses_of_ray_surfaces_in_single_precision(backend, arrays, geometry, losses, case):
    check_single_precision(backend, arrays, geometry, losses, case)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_large_network_of_ray_surfaces(backend, arrays, recorded, names, precision):
    networks.check_training(backend, arrays, recorded, names, 50, precision)
