"""What tests need of a backend, with arrays in and out. The only test file that tells the frameworks apart."""

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from backends import load_backend


class Adapter:
    """One backend on one device: its modules, and tensors, gradients and modes under common names."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.name = name
        self.tensors = load_backend(name, "tensors")
        self.framework = importlib.import_module(name)
        self.device = self.tensors.choose_device(device)

    def has_gpu(self) -> bool:
        """Whether the framework sees a GPU."""
        if self.name == "torch":
            return self.framework.cuda.is_available()
        return self.framework.device.cuda.device_count() > 0

    def module(self, path: str) -> ModuleType:
        """`module("networks.resnet")` → backends.<name>.networks.resnet."""
        return load_backend(self.name, path)

    def tensor(self, array: np.ndarray, gradient: bool = False) -> Any:
        """A tensor of the array's type, that gradients may be asked for."""
        tensor = self.tensors.to_tensor(np.asarray(array), self.device)
        if gradient:
            if self.name == "torch":
                tensor.requires_grad_()
            else:
                tensor.stop_gradient = False
        return tensor

    def array(self, tensor: Any) -> np.ndarray:
        """The values of a tensor."""
        return self.tensors.to_array(tensor)

    def gradients(self, scalar: Any, inputs: list[Any]) -> list[np.ndarray]:
        """d scalar / d input for every input; zeros where the scalar does not depend on it."""
        if self.name == "torch":
            found = self.framework.autograd.grad(scalar, inputs, allow_unused=True)
        else:
            found = self.framework.grad(scalar, inputs, allow_unused=True)
        return [
            np.zeros(tuple(tensor.shape)) if gradient is None else self.array(gradient)
            for tensor, gradient in zip(inputs, found, strict=True)
        ]

    def is_trainable(self, parameter: Any) -> bool:
        """Whether gradients are asked for it; PaddlePaddle counts running statistics among the parameters."""
        return parameter.requires_grad if self.name == "torch" else not parameter.stop_gradient

    def is_detached(self, tensor: Any) -> bool:
        """Whether it keeps no graph of its making."""
        return not tensor.requires_grad if self.name == "torch" else tensor.stop_gradient

    def device_of(self, tensor: Any) -> Any:
        """Where it lies."""
        return tensor.device if self.name == "torch" else tensor.place

    def fill(self, network: Any, state: dict[str, np.ndarray]) -> Any:
        """Loads `{official name: array}` and returns the network on the device, in evaluation mode."""
        self.module("checkpoint").load_network_state(network, state, "test")
        network.to(device=self.device)
        network.eval()
        return network

    def to_float64(self, network: Any) -> Any:
        """The network with double-precision parameters and buffers."""
        return network.double() if self.name == "torch" else network.to(dtype="float64")

    def no_gradients(self) -> Any:
        """A context without gradient bookkeeping."""
        return self.framework.no_grad()

    def batch(self, arrays: dict[str, np.ndarray], precision: str) -> dict[str, Any]:
        """A collated sample as tensors; `precision` starts with float32 or float64."""
        return self.tensors.to_batch(
            arrays, self.device, dtype=getattr(self.framework, precision.partition("_")[0])
        )

    def adam(self, groups: list[dict], learning_rate: float) -> Any:
        """A fresh Adam as the trainer makes it."""
        return self.module("trainer").make_optimizer(groups, learning_rate)

    def moments(self, optimizer: Any, parameter: Any) -> dict[str, np.ndarray]:
        """Adam's two moments of a parameter, by the names of the training state."""
        if self.name == "torch":
            state = optimizer.state[parameter]
            return {key: self.array(state[key]) for key in ("exp_avg", "exp_avg_sq")}
        names = {"exp_avg": "moment1", "exp_avg_sq": "moment2"}
        return {key: self.array(optimizer._accumulators[own][parameter.name]) for key, own in names.items()}

    def learning_rate(self, optimizer: Any) -> float:
        """The rate the optimiser uses now."""
        return optimizer.param_groups[0]["lr"] if self.name == "torch" else optimizer.get_lr()

    def step(self, optimizer: Any, loss: Any) -> None:
        """One update."""
        (optimizer.zero_grad if self.name == "torch" else optimizer.clear_grad)()
        loss.backward()
        optimizer.step()
