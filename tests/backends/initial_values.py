"""Initial values of large tensors, cheaper than the frameworks draw them, and from the same distribution.

A ResNet-18 is built a hundred times by these tests, each time with 11 million random numbers of the framework's own and
as many of ours: seconds in PaddlePaddle. Here some thousands are drawn and repeated; in a parity request, too. Small
tensors, all those of `tiny` among them, are filled as ever, so that they are the same in a process that a test starts.
"""

import functools
import math
from typing import Any

import numpy as np
import pytest

from core.parity import request
from tests.backends.adapter import Adapter

LARGE = 1 << 14  # elements
DRAWN = 10007  # a prime, so that rows and kernels differ


def draw_less(backend: Adapter, patch: pytest.MonkeyPatch) -> None:
    """From now on, until the patch is undone."""
    patch.setattr(request, "_generator", functools.partial(_repeated_request, request._generator))
    if backend.name == "torch":
        _draw_less_torch(backend.framework, patch)
    else:
        _draw_less_paddle(backend.framework, patch)


class _Repeated:
    """A generator of NumPy whose large uniform arrays are few numbers, repeated."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)

    def uniform(self, low: float, high: float, size: Any) -> np.ndarray:
        if math.prod(np.atleast_1d(size)) < LARGE:
            return self.generator.uniform(low, high, size)
        return np.resize(self.generator.uniform(low, high, DRAWN).astype(np.float32), size)


def _repeated_request(make: Any, seed: int, name: str) -> Any:
    return _Repeated(make(seed, name)) if name.startswith("weights/") else make(seed, name)


def _draw_less_torch(torch: Any, patch: pytest.MonkeyPatch) -> None:
    for name, mode in (("kaiming_normal_", "fan_out"), ("kaiming_uniform_", "fan_in")):
        patch.setattr(torch.nn.init, name, _repeated_torch(torch, getattr(torch.nn.init, name), mode))


def _repeated_torch(torch: Any, fill: Any, mode: str) -> Any:
    """`fill` of a part of the tensor: the bounds depend on the other sides alone, those of the fan."""

    @functools.wraps(fill)
    def filled(tensor: Any, *arguments: Any, **words: Any) -> Any:
        given = words.get("mode", mode if fill.__name__ == "kaiming_normal_" else "fan_in")
        if tensor.numel() < LARGE or tensor.dim() != 4 or given != mode or tensor.device.type != "cpu":
            return fill(tensor, *arguments, **words)
        out, inside, height, width = tensor.shape
        part = (out, 1, height, width) if mode == "fan_out" else (1, inside, height, width)
        count = max(1, math.ceil(DRAWN / math.prod(part)))
        parts = [fill(torch.empty(part), *arguments, **words).numpy().ravel() for _ in range(count)]
        drawn = np.concatenate(parts)[:-1]  # not a whole number of parts: rows and kernels differ
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.resize(drawn, tuple(tensor.shape))))
        return tensor

    return filled


def _draw_less_paddle(paddle: Any, patch: pytest.MonkeyPatch) -> None:
    for module, name in (("normal", "NormalInitializer"), ("uniform", "UniformInitializer")):
        initializer = getattr(getattr(paddle.nn.initializer, module), name)
        patch.setattr(initializer, "forward", _repeated_paddle(paddle, initializer.forward))


def _repeated_paddle(paddle: Any, fill: Any) -> Any:
    @functools.wraps(fill)
    def filled(self: Any, var: Any, block: Any = None) -> Any:
        if not paddle.in_dynamic_mode() or math.prod(var.shape) < LARGE:
            return fill(self, var, block)
        drawn = paddle.empty([DRAWN], dtype=var.dtype)
        fill(self, drawn)
        var.set_value(np.resize(drawn.numpy(), tuple(var.shape)))
        return None

    return filled
