"""Monodepth2's networks with few channels and layers, for tests whose subject is not the networks.

What they compute has to be right all the same; that whole ones give the recorded numbers is in `test_networks.py`.
"""

from typing import Any

import pytest

from tests.backends.adapter import Adapter

LAYERS = 18  # of the ResNet
NARROW = 8, (1, 1, 1, 1), (4, 8, 16, 16, 32)
_whole: dict[str, tuple[Any, ...]] = {}  # by backend: what there was before the first patch


def make_narrow(backend: Adapter, patch: pytest.MonkeyPatch) -> None:
    """From now on, until the patch is undone, ResNet-18 has half the blocks and an eighth of the channels."""
    _whole.setdefault(backend.name, _now(backend))
    _set(backend, patch, NARROW)


def make_whole(backend: Adapter, patch: pytest.MonkeyPatch) -> None:
    """As they are, until the patch is undone."""
    _set(backend, patch, _whole.get(backend.name, _now(backend)))


def _now(backend: Adapter) -> tuple[Any, ...]:
    """Channels and blocks of the ResNet, channels of the decoder."""
    resnet, decoder = (backend.module(f"networks.{name}") for name in ("resnet", "depth_decoder"))
    return resnet.CHANNELS, resnet.BLOCKS[LAYERS], decoder.CHANNELS


def _set(backend: Adapter, patch: pytest.MonkeyPatch, values: tuple[Any, ...]) -> None:
    resnet, decoder = (backend.module(f"networks.{name}") for name in ("resnet", "depth_decoder"))
    patch.setattr(resnet, "CHANNELS", values[0])
    patch.setitem(resnet.BLOCKS, LAYERS, values[1])
    patch.setattr(decoder, "CHANNELS", values[2])
