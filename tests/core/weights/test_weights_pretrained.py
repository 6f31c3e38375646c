"""ImageNet weights: names, and the first convolution for several images."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from core.errors import UserError
from core.weights.pretrained import imagenet_state

FILE = "resnet34_pretrain.h5"


def write(path: Path, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", ".")] = array
    return {name.replace("__", "."): array for name, array in arrays.items()}


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return write(
        tmp_path / FILE,
        conv1__weight=rng.normal(size=(4, 3, 7, 7)).astype(np.float32),
        layer1__0__conv1__weight=rng.normal(size=(4, 4, 3, 3)).astype(np.float32),
        bn1__running_mean=rng.normal(size=4).astype(np.float32),
    )


def test_names_and_values(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    state = imagenet_state(tmp_path / FILE)
    assert set(state) == {f"encoder.{name}" for name in arrays}
    for name, array in arrays.items():
        np.testing.assert_array_equal(state[f"encoder.{name}"], array)
        assert state[f"encoder.{name}"].dtype == np.float32


@pytest.mark.parametrize("images", [2, 3])
def test_equal_images_give_the_features_of_one(
    tmp_path: Path, arrays: dict[str, np.ndarray], images: int
) -> None:
    state = imagenet_state(tmp_path / FILE, images)
    weight = state["encoder.conv1.weight"]
    assert weight.shape == (4, 3 * images, 7, 7) and weight.dtype == np.float32
    image = np.random.default_rng(1).normal(size=(3, 7, 7))
    stacked = np.concatenate([image] * images)
    np.testing.assert_allclose(
        np.einsum("oihw,ihw->o", weight, stacked),
        np.einsum("oihw,ihw->o", arrays["conv1.weight"], image),
        rtol=1e-5,
    )
    name = "layer1.0.conv1.weight"
    np.testing.assert_array_equal(state[f"encoder.{name}"], arrays[name])


def test_file_of_something_else(tmp_path: Path) -> None:
    write(tmp_path / FILE, kernel=np.zeros(3))
    with pytest.raises(UserError, match=r"resnet34_pretrain\.h5: has no conv1\.weight"):
        imagenet_state(tmp_path / FILE)
