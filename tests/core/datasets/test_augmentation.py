"""Colour jitter against recorded pixels and its formulas; the random draws against their distribution."""

import json

import numpy as np
import pytest
from PIL import Image

from core.datasets.augmentation import OPERATIONS, Augmentation, draw
from core.files.images import to_array
from core.options.needs import AugmentationPolicy
from tests.core.kitti_folder import noise

CASES = 13


@pytest.mark.parametrize("number", range(CASES))
def test_recorded_cases(golden, number):
    recorded = golden("monodepth2/images.npz")
    cases = json.loads(str(recorded["jitter_cases_json"]))
    assert len(cases) == CASES
    augmentation = Augmentation(tuple((name, factor) for name, factor in cases[number]))
    inputs = {"target_2": recorded["pyramid/target_2"], "source_1_3": recorded["pyramid/source_1_3"]}
    compared = [name for name in inputs if f"jitter_{number}/{name}" in recorded]
    assert compared
    for name in compared:
        result = augmentation.apply_colours(Image.fromarray(inputs[name]))
        np.testing.assert_array_equal(to_array(result), recorded[f"jitter_{number}/{name}"])


@pytest.fixture
def image():
    return Image.fromarray(noise(24, 32, 5))


def luminance(pixels: np.ndarray) -> np.ndarray:
    return pixels @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.2])
def test_operations_follow_their_formulas(image, factor):
    pixels = to_array(image).astype(float)
    grey = np.round(luminance(pixels))
    expected = {
        "brightness": factor * pixels,
        "contrast": factor * pixels + (1 - factor) * np.floor(grey.mean() + 0.5),
        "saturation": factor * pixels + (1 - factor) * grey[..., None],
    }
    for name, values in expected.items():
        result = to_array(OPERATIONS[name](image, factor)).astype(float)
        assert np.abs(result - np.clip(values, 0, 255)).max() <= 1.5, name


def test_hue_turns_red_into_green_and_back():
    red = Image.new("RGB", (2, 2), (200, 0, 0))
    third = OPERATIONS["hue"](red, 1 / 3)
    assert np.argmax(to_array(third)[0, 0]) == 1
    np.testing.assert_array_equal(to_array(OPERATIONS["hue"](third, -1 / 3)), to_array(red))


def test_order_matters_and_nothing_is_done_without_jitter(image):
    one = Augmentation((("brightness", 1.2), ("contrast", 0.8))).apply_colours(image)
    other = Augmentation((("contrast", 0.8), ("brightness", 1.2))).apply_colours(image)
    assert not np.array_equal(to_array(one), to_array(other))
    assert Augmentation().apply_colours(image) is image


def test_draws():
    drawn = [draw(np.random.default_rng([3, index]), AugmentationPolicy()) for index in range(2000)]
    assert draw(np.random.default_rng([3, 7]), AugmentationPolicy()) == drawn[7]
    jitters = [augmentation.jitter for augmentation in drawn if augmentation.jitter]
    assert abs(len(jitters) / 2000 - 0.5) < 0.05
    assert abs(np.mean([augmentation.mirrored for augmentation in drawn]) - 0.5) < 0.05
    both = np.mean([augmentation.mirrored and bool(augmentation.jitter) for augmentation in drawn])
    assert abs(both - 0.25) < 0.05  # independent
    orders = {tuple(name for name, _ in jitter) for jitter in jitters}
    assert len(orders) == 24  # of four operations
    for name, low, high in (("brightness", 0.8, 1.2), ("contrast", 0.8, 1.2), ("hue", -0.1, 0.1)):
        factors = np.array([dict(jitter)[name] for jitter in jitters])
        assert low <= factors.min() < low + 0.01 * (high - low) and factors.max() <= high
        assert abs(factors.mean() - (low + high) / 2) < 0.03 * (high - low)
