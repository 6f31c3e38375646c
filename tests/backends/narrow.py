"""Monodepth2's networks with few channels and layers, for tests whose subject is not the networks.

What they compute has to be right all the same; that whole ones give the recorded numbers is in `test_networks.py`.
"""

import pytest

from tests.backends.adapter import Adapter


def make_narrow(backend: Adapter, patch: pytest.MonkeyPatch) -> None:
    """From now on, until the patch is undone, ResNet-18 has half the blocks and an eighth of the channels."""
    resnet = backend.module("networks.resnet")
    patch.setattr(resnet, "CHANNELS", 8)
    patch.setitem(resnet.BLOCKS, 18, (1, 1, 1, 1))
    patch.setattr(backend.module("networks.depth_decoder"), "CHANNELS", (4, 8, 16, 16, 32))


def make_whole(backend: Adapter, patch: pytest.MonkeyPatch) -> None:
    """As they are, until the patch is undone."""
    resnet = backend.module("networks.resnet")
    patch.setattr(resnet, "CHANNELS", 64)
    patch.setitem(resnet.BLOCKS, 18, (2, 2, 2, 2))
    patch.setattr(backend.module("networks.depth_decoder"), "CHANNELS", (16, 32, 64, 128, 256))
