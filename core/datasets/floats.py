"""Bytes of images as the floats that networks and losses compute with, on the CPU."""

import numpy as np

ALIGNMENT = 64  # bytes: where the frameworks' own memory begins, so their kernels go the same ways
GREATEST = np.float32(255)


def unit_images(images: np.ndarray) -> np.ndarray:
    """uint8 (B, H, W, C) → float32 in [0, 1], of the same shape, equal bit for bit to a division by 255.

    Bytes become floats and are divided while the processor's cache holds them, so that memory is gone through once.
    """
    floats = _empty(images.shape)
    for image, into in zip(images, floats, strict=True):
        np.divide(image, GREATEST, out=into)
    return floats


def unit_planes(images: np.ndarray) -> np.ndarray:
    """The same with channels first, (B, C, H, W): bytes are transposed, which are a fourth of the floats."""
    count, height, width, channels = images.shape
    floats = _empty((count, channels, height, width))
    for image, into in zip(images, floats, strict=True):
        np.divide(np.ascontiguousarray(image.transpose(2, 0, 1)), GREATEST, out=into)
    return floats


def _empty(shape: tuple[int, ...]) -> np.ndarray:
    """Memory for float32 numbers that begins at a multiple of `ALIGNMENT`."""
    size = 4 * int(np.prod(shape))
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(np.float32).reshape(shape)
