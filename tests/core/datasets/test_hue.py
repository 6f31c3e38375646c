"""The colour circle is turned as Pillow turns it, to the bit."""

import numpy as np
import pytest
from PIL import Image

from core.datasets import hue
from core.datasets.hue import tables, turn, turned_by_pillow


def picture(colours: np.ndarray) -> Image.Image:
    """Colours (N, 3) as one row."""
    return Image.fromarray(np.ascontiguousarray(colours[None], np.uint8))


def extremes() -> np.ndarray:
    """Colours with equal channels, and those beside them: where ties and divisions by nothing are."""
    level = np.array([0, 1, 2, 127, 128, 253, 254, 255])
    return np.stack(np.meshgrid(level, level, level, indexing="ij"), -1).reshape(-1, 3)


@pytest.mark.parametrize("steps", [-25, -1, 0, 1, 25, 128, 255])
def test_every_turn_is_pillows(steps: int) -> None:
    drawn = np.random.default_rng(steps % 256).integers(0, 256, (50_000, 3))
    image = picture(np.concatenate([extremes(), drawn]))
    assert tables().exact
    assert np.array_equal(np.asarray(turn(image, steps)), np.asarray(turned_by_pillow(image, steps)))


def test_a_colour_of_every_sixth_by_hand() -> None:
    turned = np.asarray(turn(picture(np.array([[255, 0, 0], [10, 20, 30], [7, 7, 7]])), 85))
    assert turned[0].tolist() == [[0, 255, 0], [30, 10, 20], [7, 7, 7]]


def test_another_pillow_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(np.array([[200, 100, 50], [1, 2, 3]]))
    expected = np.asarray(turn(image, 7))
    wrong = tables()._replace(weights=np.zeros(256, np.float32), exact=True)
    assert not hue._is_pillows(wrong)
    monkeypatch.setattr(hue, "tables", lambda: wrong._replace(exact=False))
    assert np.array_equal(np.asarray(turn(image, 7)), expected)
