"""Colour jitter against recorded pixels and its formulas; the random draws against their distribution."""

import dataclasses
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


# ---- policies --------------------------------------------------------------------------------------------


def drawn(policy: AugmentationPolicy, number: int = 300, **more) -> list[Augmentation]:
    return [draw(np.random.default_rng([3, index]), policy, **more) for index in range(number)]


def test_new_draws_change_none_of_the_old():
    """Whatever else a policy asks for, mirroring, factors and their order stay those of the plain policy."""
    plain = drawn(AugmentationPolicy())
    for more in ({"zoom": 1.15}, {"sources": 2}):
        for policy in (
            AugmentationPolicy(),
            AugmentationPolicy(per_frame=True),
            AugmentationPolicy(channels=(0.9, 1.1)),
        ):
            for one, other in zip(plain, drawn(policy, **more), strict=True):
                assert (other.mirrored, other.jitter[:4]) == (one.mirrored, one.jitter)
    assert drawn(AugmentationPolicy(mirroring=0.0)) == [
        dataclasses.replace(one, mirrored=False) for one in plain
    ]


def test_probabilities_and_ranges():
    always = drawn(AugmentationPolicy(mirroring=1.0, jitter=1.0, brightness=(2, 3), hue=(0.2, 0.3)))
    assert all(one.mirrored and one.jitter for one in always)
    factors = [dict(one.jitter) for one in always]
    assert all(2 <= f["brightness"] <= 3 and 0.2 <= f["hue"] <= 0.3 and f["contrast"] <= 1.2 for f in factors)
    assert not any(one.jitter for one in drawn(AugmentationPolicy(jitter=0.0)))
    shares = [one.mirrored for one in drawn(AugmentationPolicy(mirroring=0.2), 2000)]
    assert abs(np.mean(shares) - 0.2) < 0.03


def test_channels_are_scaled_each_by_its_factor(image):
    jitters = [one.jitter for one in drawn(AugmentationPolicy(jitter=1.0, channels=(0.95, 1.05)))]
    assert all(jitter[-1][0] == "channels" for jitter in jitters)
    factors = np.array([jitter[-1][1] for jitter in jitters])
    assert factors.shape == (300, 3) and 0.95 <= factors.min() < 0.951 and 1.049 < factors.max() <= 1.05
    result = to_array(Augmentation((("channels", (0.5, 1.0, 1.3)),)).apply_colours(image)).astype(float)
    expected = np.clip(to_array(image) * np.array([0.5, 1.0, 1.3]), 0, 255)
    assert np.abs(result - expected).max() <= 0.51


def test_frames_with_jitter_of_their_own(image):
    for one in drawn(AugmentationPolicy(per_frame=True), sources=2):
        assert len(one.jitter_of_sources) == (2 if one.jitter else 0)
        if one.jitter:
            assert len({one.jitter, *one.jitter_of_sources}) == 3
            for number, jitter in enumerate((one.jitter, *one.jitter_of_sources)):
                expected = to_array(Augmentation(jitter).apply_colours(image))
                np.testing.assert_array_equal(to_array(one.apply_colours(image, number)), expected)
    together = next(one for one in drawn(AugmentationPolicy(), sources=2) if one.jitter)
    np.testing.assert_array_equal(together.apply_colours(image, 2), together.apply_colours(image))


def test_zooms():
    zooms = [one.zoom for one in drawn(AugmentationPolicy(), 2000, zoom=1.15)]
    assert all(one.zoom is None for one in drawn(AugmentationPolicy()))
    factors = np.array([(zoom.x, zoom.y) for zoom in zooms])
    assert factors.min() >= 1 and factors.max() < 1.15 and np.abs(factors.mean(0) - 1.075).max() < 0.005
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.1  # independent
    places = set()
    for zoom in zooms:
        (height, width), (left, top) = zoom.place(20, 30)
        assert (height, width) == (int(20 * zoom.y), int(30 * zoom.x))
        assert 0 <= left <= width - 30 and 0 <= top <= height - 20
        places.add((height - 20, top))
    assert {(2, 0), (2, 1), (2, 2)} <= places  # both ends included
