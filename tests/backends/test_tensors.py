"""Samples as tensors."""

import numpy as np

from core.datasets.sample import collate


def test_images_of_bytes_and_of_floats(backend):
    """(B, H, W, 3) of either kind → (B, 3, H, W) in [0, 1]; maps and matrices as they are."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)
    floats = pixels.astype(np.float32) / 255
    depth, K = rng.random((1, 4, 6), np.float32), np.eye(3, dtype=np.float32)
    samples = [
        {"image_0_0": image, "augmented_0": as_float, "depth": depth, "K": K, "side": np.array(-1, np.int64)}
        for image, as_float in zip(pixels, floats, strict=True)
    ]
    batch = {
        name: backend.array(tensor) for name, tensor in backend.batch(collate(samples), "float32").items()
    }
    np.testing.assert_array_equal(batch["image_0_0"], floats.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(batch["augmented_0"], batch["image_0_0"])
    np.testing.assert_array_equal(batch["depth"], np.stack([depth] * 2))
    np.testing.assert_array_equal(batch["K"], np.stack([K] * 2))
    assert batch["side"].tolist() == [-1, -1] and batch["side"].dtype == np.int64
