"""Pictures for the board: their names, sizes and values."""

import numpy as np

from core.training.pictures import EXAMPLES, log_pictures


def test_names_follow_the_published_program() -> None:
    batch, size = 2, (4, 8)
    image = np.zeros((batch, 3, *size), np.float32)
    arrays = {
        "image_0_0": image,
        "image_0_1": image,
        "image_-1_0": image,
        "image_s_0": image,
        "augmented_0": image,
        "warped_-1_0": image,
        "warped_s_0": image,
        "sigmoid_3": image[:, :1],
        "automask_2": image[:, 0].astype(bool),
        "predictive_mask_-1_2": image[:, 0],
        "reprojection_0": image[:, :2],
        "identity_0": image[:, :2],
        "K": np.zeros((batch, 3, 3), np.float32),
        "T_stereo": np.zeros((batch, 4, 4), np.float32),
        "index": np.arange(batch),
    }
    kinds = [
        "color_0_0",
        "color_-1_0",
        "color_s_0",
        "color_pred_-1_0",
        "color_pred_s_0",
        "disp_3",
        "automask_2",
        "predictive_mask_-1_2",
    ]
    pictures = log_pictures(arrays)
    assert set(pictures) == {f"{kind}/{j}" for kind in kinds for j in range(batch)}
    for name, picture in pictures.items():
        assert picture.dtype == np.uint8
        assert picture.shape == (*size, 3 if name.startswith("color") else 1)


def test_values() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(-0.1, 1.1, (2, 3, 4, 8)).astype(np.float32)
    sigmoid = rng.uniform(0.2, 0.4, (2, 1, 4, 8)).astype(np.float32)
    mask = rng.uniform(size=(2, 4, 8)) > 0.5
    pictures = log_pictures({"image_0_0": image, "sigmoid_0": sigmoid, "automask_0": mask})
    expected = np.clip(image[1] * 255, 0, 255).transpose(1, 2, 0)
    np.testing.assert_allclose(pictures["color_0_0/1"], expected, atol=0.5 + 1e-3)
    assert pictures["disp_0/0"].min() == 0 and pictures["disp_0/0"].max() == 255
    np.testing.assert_array_equal(pictures["automask_0/1"][..., 0], mask[1] * 255)


def test_only_the_first_examples() -> None:
    assert len(log_pictures({"image_0_0": np.zeros((EXAMPLES + 3, 3, 2, 2))})) == EXAMPLES


def test_a_method_without_sigmoids_shows_its_disparity() -> None:
    disparity = np.linspace(0.1, 1, 2 * 6 * 8, dtype=np.float32).reshape(2, 1, 6, 8)
    assert set(log_pictures({"disparity": disparity})) == {"disp/0", "disp/1"}
    assert set(log_pictures({"disparity": disparity, "sigmoid_0": disparity})) == {"disp_0/0", "disp_0/1"}
