"""Bytes to floats: equal to a division by 255, bit for bit."""

import numpy as np

from core.datasets.floats import ALIGNMENT, unit_images, unit_planes

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)


def test_every_byte_is_divided_by_255():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(unit_images(every), every.astype(np.float32) / np.float32(255))


def test_planes_have_channels_first():
    assert np.array_equal(unit_planes(IMAGES), unit_images(IMAGES).transpose(0, 3, 1, 2))
    assert unit_planes(IMAGES).flags.c_contiguous


def test_views_that_are_not_contiguous_are_taken():
    assert np.array_equal(unit_planes(IMAGES[:, :, ::-1]), unit_planes(IMAGES)[..., ::-1])


def test_memory_begins_where_that_of_the_frameworks_does():
    assert unit_planes(IMAGES).ctypes.data % ALIGNMENT == unit_images(IMAGES).ctypes.data % ALIGNMENT == 0
