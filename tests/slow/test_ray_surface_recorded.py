"""Neural ray surfaces: recorded projections and losses of all cases, and the network of 50 layers; some minutes."""

import pytest

from tests.backends.methods import test_ray_surface_geometry as projections
from tests.backends.methods import test_ray_surface_losses as of_losses
from tests.backends.methods import test_ray_surface_networks as networks

geometry, projection, losses = projections.geometry, projections.projection, of_losses.losses  # fixtures
names, recorded = networks.names, networks.recorded
pytestmark = pytest.mark.every_device


@pytest.mark.parametrize("case", [case for case in projections.CASES if not case.startswith("narrow")])
def test_recorded_projections(backend, arrays, geometry, projection, case):
    projections.check_projection(backend, arrays, geometry, projection, case)


@pytest.mark.parametrize("case", projections.CASES)
def test_recorded_projections_in_single_precision(backend, arrays, geometry, projection, case):
    projections.check_single_precision(backend, arrays, geometry, projection, case)


@pytest.mark.parametrize("case", of_losses.CASES)
def test_recorded_losses(backend, arrays, geometry, losses, case):
    of_losses.check_case(backend, arrays, geometry, losses, case)


@pytest.mark.parametrize("case", [case for case in of_losses.CASES if not of_losses.CASES[case][3]])
def test_recorded_losses_in_single_precision(backend, arrays, geometry, losses, case):
    of_losses.check_single_precision(backend, arrays, geometry, losses, case)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_large_network(backend, arrays, recorded, names, precision):
    networks.check_training(backend, arrays, recorded, names, 50, precision)
