"""Weights and optimiser state, to and from the files users know.

In memory a network's state is `{name: array}` with the names and layouts of the official releases, in both backends.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from backends.torch.tensors import to_array
from core.errors import UserError
from core.files.whole import check_moments, check_names
from core.plausibility.weights import check_weights
from core.weights.families import explain, left_out, unused
from core.weights.families.base import is_counter, is_number
from core.weights.folder import Folder
from core.weights.layouts import nested, read_state

EXTENSION = ".pth"
STATE_FILE = "training_state.safetensors"


def network_state(network: nn.Module) -> dict[str, np.ndarray]:
    """The parameters and buffers of a network, copied."""
    return {name: to_array(tensor).copy() for name, tensor in network.state_dict().items()}


def load_network_state(network: nn.Module, state: dict[str, np.ndarray], file: str) -> None:
    """Fills a network, strictly: every name used once, every shape met; what a file for prediction lacks stays.

    Raises:
        UserError: names are missing, unexpected or misshapen; the message lists them.
    """
    own = network.state_dict()
    stays = left_out({name: array.shape for name, array in state.items()})
    # Files written before PyTorch 0.4.1 have no counters; nothing computes with them.
    state = {name: to_array(own[name]) for name in own if is_counter(name) or name in stays} | state
    shapes = {name: array.shape for name, array in state.items()}
    ignored = unused(shapes) - own.keys()
    check_names(
        shapes,
        {name: tuple(tensor.shape) for name, tensor in own.items()},
        file,
        ignore=ignored,
        explain=explain,
    )
    network.load_state_dict({name: torch.from_numpy(np.array(state[name])) for name in own}, strict=True)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The official state in a file, of either backend, and the numbers beside it as 0-d arrays; nothing is executed.

    Raises:
        UserError: the file is damaged or holds something else than arrays.
    """
    return read_state(path)[0]


def load_weights(network: nn.Module, state: dict[str, np.ndarray], path: Path) -> None:
    """Fills a network, strictly, with what `read_weights` got from a file.

    Raises:
        UserError: names are missing, unexpected or misshapen; the message lists them.
    """
    load_network_state(network, state, str(path))


def write_weights(
    path: Path, state: dict[str, np.ndarray], scalars: dict[str, Any], key: str | Sequence[str] | None = None
) -> None:
    """Writes a `.pth` file of an official state: tensors, and beside them Python's numbers, as official files have.

    Args:
        key: under which all of it lies in the file; several: each names a part, whose names it and a dot begin; None:
            at its top.

    Raises:
        OSError, RuntimeError: the file cannot be written; the latter is what a full disk is to PyTorch's writer, see
            `core.faults.as_os_error`.
    """
    numbers = {name: array.item() for name, array in state.items() if is_number(name, array.shape)}
    tensors = {
        name: torch.from_numpy(np.array(array)) for name, array in state.items() if name not in numbers
    }
    content = tensors | numbers | scalars
    torch.save(nested(content, key), path)


def save_networks(networks: dict[str, nn.Module], folder: Path, scalars: dict[str, dict[str, Any]]) -> None:
    """Writes one file per network into a folder, with the scalars of that file beside its tensors."""
    for name, network in networks.items():
        write_weights(folder / f"{name}{EXTENSION}", network_state(network), scalars.get(name, {}))


def load_networks(networks: dict[str, nn.Module], folder: Path, names: Iterable[str]) -> None:
    """Fills the named networks from a weights folder: from `.pth` files, else from those of the other backend.

    Raises:
        UserError: a file is missing, damaged, or of another network.
    """
    files = Folder(folder, EXTENSION)
    for name in names:
        path = files.path(name)
        if path is None:
            raise UserError(
                f"{folder / (name + EXTENSION)}: no such file; "
                f"check --load_weights_folder, or leave {name} out of --models_to_load"
            )
        load_weights(networks[name], files[name], path)


def save_optimizer(
    optimizer: torch.optim.Adam, networks: dict[str, nn.Module], path: Path, step: int
) -> None:
    """Writes Adam's moments by parameter name, and the step.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    arrays = {"step": np.array(step, np.int64)}
    for name, parameter in named_parameters(networks):
        state = optimizer.state.get(parameter)
        if state:
            for key in ("exp_avg", "exp_avg_sq"):
                # The file holds bytes in memory order, which channels-last tensors do not have.
                arrays[f"{key}/{name}"] = np.ascontiguousarray(to_array(state[key]))
            arrays[f"steps/{name}"] = np.array(int(state["step"]), np.int64)
    save_file(arrays, path)


def load_optimizer(optimizer: torch.optim.Adam, networks: dict[str, nn.Module], path: Path) -> int:
    """Restores Adam's moments for the parameters the file knows; returns its step. The learning rate is not touched.

    Raises:
        UserError: the file is damaged or a moment has another shape.
    """
    try:
        arrays = load_file(path)
    except Exception as error:  # safetensors raises its own and OSError
        raise UserError(
            f"{path}: not a readable training state; remove it to start with fresh moments"
        ) from error
    restore_moments(optimizer, networks, arrays, path)
    return int(arrays["step"])


def restore_moments(
    optimizer: torch.optim.Adam, networks: dict[str, nn.Module], arrays: Mapping[str, np.ndarray], path: Path
) -> None:
    """Restores Adam's moments for the parameters that some arrays know, named as `save_optimizer` does.

    Raises:
        UserError: a moment has another shape, or is none, such as NaN; it names the file that they come from.
    """
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    expected = {name: p for name, p in named_parameters(networks) if id(p) in trained}
    check_moments(arrays, {name: tuple(parameter.shape) for name, parameter in expected.items()}, path)
    check_weights(str(path), {key: array for key, array in arrays.items() if key.startswith("exp_avg")})
    for name, parameter in expected.items():
        if f"exp_avg/{name}" in arrays:
            moments = {
                key: torch.empty_like(parameter).copy_(torch.from_numpy(arrays[f"{key}/{name}"]))
                for key in ("exp_avg", "exp_avg_sq")
            }
            # The fused kernel counts on the device.
            steps = torch.tensor(float(arrays[f"steps/{name}"]), device=parameter.device)
            optimizer.state[parameter] = {"step": steps, **moments}


def named_parameters(networks: dict[str, nn.Module]) -> Iterable[tuple[str, nn.Parameter]]:
    """`("encoder/encoder.conv1.weight", parameter)` of all networks."""
    for network_name, network in networks.items():
        for name, parameter in network.named_parameters():
            yield f"{network_name}/{name}", parameter
