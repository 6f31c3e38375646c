"""What PyTorch makes of a parity request; `check_parity.py` runs this file and its sibling, and compares.

python -m backends.torch.parity REQUEST.npz RESULT.npz
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends.torch import checkpoint
from backends.torch.methods import make_method
from backends.torch.methods.base import Method
from backends.torch.tensors import choose_device, to_array, to_batch, to_tensor
from backends.torch.trainer import make_optimizer
from core.cores import end_with_parent
from core.errors import run
from core.parity.bounds import LEARNING_RATE, PRECISIONS, is_compared, jumps
from core.parity.request import PROGRESS, Request
from core.parity.results import Result, digest, leaves, sampled, save_result, unused
from core.weights.folder import Folder


class Recorder:
    """Notes what every layer returns while a method runs, and the outputs of whole networks with their graph."""

    def __init__(self, networks: dict[str, nn.Module]) -> None:
        self.layers: Result = {}
        self.outputs: dict[str, Tensor] = {}
        self.handles = [
            layer.register_forward_hook(partial(self._note, network, name))
            for network, module in networks.items()
            for name, layer in module.named_modules()
        ]

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _note(self, network: str, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        whole = name == ""
        if not whole and not isinstance(output, Tensor):
            return  # a part that returns several tensors, each of which a layer inside it returned
        for item, tensor in leaves(f"{network}/{name or 'output'}", output):
            item = unused(item, self.layers)
            self.layers[item] = sampled(to_array(tensor)).copy()
            if whole:
                self.outputs[item] = tensor


def build(request: Request, precision: str) -> Method:
    """The method with the request's weights and random numbers."""

    def draw(name: str, shape: tuple[int, ...], kind: str) -> Tensor:
        return to_tensor(request.draw(name, shape, kind))

    method = make_method(request.options, draw=draw)
    method.progress = PROGRESS
    fill(method.networks(), request)
    method.complete(beginning=request.options.load_weights_folder is None)
    return method.to(dtype=getattr(torch, precision))


def fill(networks: dict[str, nn.Module], request: Request) -> None:
    """The weights of the request's folder, or those it makes."""
    folder = request.options.load_weights_folder
    if folder is not None:
        Folder(Path(folder), checkpoint.EXTENSION).paths(networks)  # names all that are missing
        checkpoint.load_networks(networks, Path(folder), networks)
        return
    for name, network in networks.items():
        shapes = {key: array.shape for key, array in checkpoint.network_state(network).items()}
        checkpoint.load_network_state(network, request.weights(name, shapes), name)


def weights(method: Method) -> Result:
    """Digests of all weights, by official name."""
    return {
        f"{network}/{name}": digest(array)
        for network, module in method.networks().items()
        for name, array in checkpoint.network_state(module).items()
        if not name.endswith("num_batches_tracked")
    }


def prediction(method: Method, batch: dict[str, Tensor], precision: str) -> dict[str, Result]:
    """In evaluation mode: what every layer returns, the loss terms, the disparities."""
    method.eval()
    with torch.no_grad():
        with Recorder(method.networks()) as recorder:
            terms = method.losses(batch).terms
        found = method.predict(method.inputs_of(batch)) if method.depth_networks else {}
    kinds = method.options.jumping_terms
    return {
        "layers": recorder.layers,
        "terms": {name: to_array(term) for name, term in terms.items() if not jumps(name, kinds, precision)},
        "metrics": {"disparity": to_array(found["disparity"])} if found else {},
    }


def trained_parameters(method: Method) -> dict[str, nn.Parameter]:
    """What the method trains, by official name, in the order of its files."""
    trained = {id(parameter) for group in method.parameter_groups() for parameter in group["params"]}
    named = checkpoint.named_parameters(method.networks())
    return {name: parameter for name, parameter in named if id(parameter) in trained}


def gradients(method: Method, scalar: Tensor) -> Result:
    """d scalar / d parameter of every parameter, by official name; zeros where it does not depend on it."""
    parameters = trained_parameters(method)
    found = torch.autograd.grad(scalar, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {
        name: sampled(np.zeros(tuple(parameter.shape))) if gradient is None else sampled(to_array(gradient))
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
    }


def training(
    method: Method, batch: dict[str, Tensor], request: Request, with_gradients: bool
) -> dict[str, Result]:
    """One pass in training mode: loss terms, running statistics after it, gradients of two objectives."""
    method.train()
    with Recorder(method.networks()) as recorder:
        losses = method.losses(method.prepare(batch))
    sections = {
        "training_terms": {name: to_array(term) for name, term in losses.terms.items()},
        "statistics": {
            f"{network}/{name}": array
            for network, module in method.networks().items()
            for name, array in checkpoint.network_state(module).items()
            if name.endswith(("running_mean", "running_var"))
        },
    }
    if with_gradients:
        parts = []
        for name, output in recorder.outputs.items():
            cotangent = to_tensor(request.cotangent(name, tuple(output.shape))).to(output.dtype)
            parts.append((output * cotangent).mean())
        sections["objective_gradients"] = gradients(method, torch.stack(parts).sum())
        sections["loss_gradients"] = gradients(method, losses.loss)
    return sections


def steps(method: Method, batch: dict[str, Tensor], count: int, precision: str) -> tuple[Result, Result]:
    """Updates in training mode: the parameters' change by the first, over the rate; the loss before each.

    The loss is less those of its terms that this precision cannot compare.
    """
    method.train()
    parameters = trained_parameters(method)
    before = {name: sampled(to_array(parameter)).copy() for name, parameter in parameters.items()}
    optimizer = make_optimizer(method.parameter_groups(), LEARNING_RATE, method.options.optimizer)
    change, losses = {}, {}
    for step in range(count):
        found = method.losses(method.prepare(batch))
        jumping = (name for name in found.terms if jumps(name, method.options.jumping_terms, precision))
        losses[f"step {step}"] = to_array(found.loss) - sum(to_array(found.terms[name]) for name in jumping)
        optimizer.zero_grad(set_to_none=True)
        found.loss.backward()
        optimizer.step()
        if step == 0:
            after = {name: sampled(to_array(parameter)) for name, parameter in parameters.items()}
            change = {name: (after[name] - before[name]) / LEARNING_RATE for name in before}
    return change, losses


def measure(request: Request, precision: str) -> dict[str, Result]:
    """All sections in one precision, `{section: {item: array}}`."""
    batch = to_batch(request.batch, choose_device("cpu"), dtype=getattr(torch, precision))
    method = build(request, precision)
    sections = {"weights": weights(method)}
    print(f"{precision} layers", flush=True)
    sections |= prediction(method, batch, precision)
    print(f"{precision} training mode", flush=True)
    sections |= training(method, batch, request, is_compared("loss_gradients", precision))
    print(f"{precision} optimiser steps", flush=True)
    sections["update"], sections["losses"] = steps(method, batch, request.steps, precision)
    return sections


def main(argv: list[str] | None = None) -> None:
    """Reads a request, writes the result; prints what it is about to do, for whoever has to explain a crash."""
    if argv is None:
        end_with_parent()
    request_file, result_file = sys.argv[1:] if argv is None else argv
    request = Request.load(Path(request_file))
    result = {"version": np.array(torch.__version__)}
    for precision in PRECISIONS:
        for section, items in measure(request, precision).items():
            if is_compared(section, precision):
                result |= {f"{section}/{precision}/{item}": array for item, array in items.items()}
    save_result(Path(result_file), result)


if __name__ == "__main__":
    run(main)
