"""Colour maps: order, limits, sizes."""

import numpy as np

from core.files.colour import SteadyLimits, colour_map, plasma_map, stretch


def test_brightness_follows_the_value() -> None:
    values = np.linspace(0.01, 9, 300)[None]
    brightness = colour_map(values).astype(int).sum(axis=2)[0]
    assert colour_map(values).dtype == np.uint8 and colour_map(values).shape == (1, 300, 3)
    assert (np.diff(brightness) >= 0).all()
    assert brightness[0] < 10
    assert (colour_map(values)[0, 285:] == colour_map(values)[0, -1]).all()  # above the 95th percentile


def test_magma_is_red_before_blue() -> None:
    middle = colour_map(np.linspace(0, 1, 101)[None], limits=(0, 1))[0, 50].astype(int)
    assert np.abs(middle - [183, 55, 121]).max() <= 3  # magma(0.5), so the channels are RGB


def test_limits_are_shared() -> None:
    values = np.array([[1.0, 2.0, 3.0]])
    assert (colour_map(values, limits=(0, 4))[0, 1] == colour_map(values + 1, limits=(0, 4))[0, 0]).all()


def test_size_and_special_values() -> None:
    assert colour_map(np.ones((4, 6)), size=(40, 61)).shape == (40, 61, 3)
    assert colour_map(np.ones((4, 6))).max() < 10
    painted = colour_map(np.array([[np.nan, 1.0, 2.0, np.inf]]))
    assert not painted[0, 0].any() and not painted[0, 3].any() and painted[0, 2].any()
    assert not colour_map(np.full((2, 2), np.nan)).any()


def test_plasma_begins_at_zero() -> None:
    """Its ends, and its middle at half of the 95th percentile."""
    disparity = np.full((1, 100), 4.0)
    disparity[0, :3] = 0, 2, 900
    painted = plasma_map(disparity)
    assert painted.dtype == np.uint8 and painted.shape == (1, 100, 3)
    assert painted[0, 0].tolist() == [13, 8, 135] and painted[0, 2].tolist() == [240, 249, 33]
    assert np.abs(painted[0, 1].astype(int) - [204, 71, 120]).max() <= 1
    assert plasma_map(np.zeros((2, 2))).tolist() == [[[13, 8, 135]] * 2] * 2


def test_stretch() -> None:
    assert stretch(np.array([[2.0, 3.0, 4.0]])).tolist() == [[[0], [127], [255]]]
    assert stretch(np.full((2, 2), 7.0)).max() == 0


def test_the_limits_of_a_video_follow_slowly() -> None:
    limits, dark, bright = SteadyLimits(), np.array([[0.0, 1.0]]), np.array([[10.0, 11.0]])
    low, high = limits.update(dark)
    assert (low, high) == (0, np.percentile(dark, 95))  # the first frame decides alone
    steps = [limits.update(bright)[0] for _ in range(60)]
    np.testing.assert_allclose(steps, 10 * (1 - 0.9 ** np.arange(1, 61)), rtol=1e-12)
