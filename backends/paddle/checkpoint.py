"""Weights and optimiser state, to and from the files users know.

In memory a network's state is `{name: array}` with the names and layouts of the official releases, in both backends.
In a `.pdparams` file the names and layouts are PaddlePaddle's own, so that its tools can read it.
"""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn
from safetensors.numpy import load_file, save_file

from backends.paddle.tensors import to_array
from core.errors import UserError
from core.files.whole import check_moments, check_names
from core.plausibility.weights import check_weights
from core.weights import layouts
from core.weights.families import explain, left_out, unused
from core.weights.families.base import is_counter
from core.weights.folder import Folder
from core.weights.layouts import read_state
from core.weights.pdparams import write_pdparams

EXTENSION = ".pdparams"
STATE_FILE = "training_state.safetensors"


def native_names(network: nn.Layer) -> dict[str, tuple[str, bool]]:
    """`{official name: (PaddlePaddle's name, whether the matrix is transposed)}`: one rule a difference, by type."""
    shapes = {native: tuple(tensor.shape) for native, tensor in network.state_dict().items()}
    official = layouts.official_names(shapes)
    return {name: (native, transposed) for native, (name, transposed) in official.items()}


def network_state(network: nn.Layer) -> dict[str, np.ndarray]:
    """The parameters and buffers of a network, copied."""
    return layouts.to_official({name: to_array(tensor) for name, tensor in network.state_dict().items()})


def load_network_state(network: nn.Layer, state: dict[str, np.ndarray], file: str) -> None:
    """Fills a network, strictly: every name used once, every shape met; what a file for prediction lacks stays.

    Raises:
        UserError: names are missing, unexpected or misshapen; the message lists them.
    """
    # PyTorch counts batches; nothing computes with that.
    state = {name: array for name, array in state.items() if not is_counter(name)}
    shapes = {name: array.shape for name, array in state.items()}
    own, stays = network.state_dict(), left_out(shapes)
    names = {name: native for name, native in native_names(network).items() if name not in stays}
    ignored = unused(shapes) - names.keys()
    check_names(
        shapes,
        {
            name: tuple(own[native].shape)[:: -1 if transposed else 1]
            for name, (native, transposed) in names.items()
        },
        file,
        ignore=ignored,
        explain=explain,
    )
    # Not `set_state_dict`, which skips in silence what does not fit.
    for name, (native, transposed) in names.items():
        _set(own[native], state[name].T if transposed else state[name])


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The official state in a file, of either backend, and the numbers beside it as 0-d arrays; nothing is executed.

    Raises:
        UserError: the file is damaged or holds something else than arrays.
    """
    return read_state(path)[0]


def load_weights(network: nn.Layer, state: dict[str, np.ndarray], path: Path) -> None:
    """Fills a network, strictly, with what `read_weights` got from a file.

    Raises:
        UserError: names are missing, unexpected or misshapen; the message lists them.
    """
    load_network_state(network, state, str(path))


def write_weights(
    path: Path, state: dict[str, np.ndarray], scalars: dict[str, Any], key: str | None = None
) -> None:
    """Writes a `.pdparams` file of an official state: PaddlePaddle's names, and numbers beside them as 0-d arrays.

    Args:
        key: under which all of it lies in the file; None: at its top.
    """
    numbers = {name: np.array(value) for name, value in scalars.items()}
    write_pdparams(path, layouts.to_native(state) | numbers, key)


def save_networks(networks: dict[str, nn.Layer], folder: Path, scalars: dict[str, dict[str, Any]]) -> None:
    """Writes one file per network into a folder, with the scalars of that file beside its tensors."""
    for name, network in networks.items():
        write_weights(folder / f"{name}{EXTENSION}", network_state(network), scalars.get(name, {}))


def load_networks(networks: dict[str, nn.Layer], folder: Path, names: Iterable[str]) -> None:
    """Fills the named networks from a weights folder: from `.pdparams` files, else from those of the other backend.

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
    optimizer: paddle.optimizer.Adam, networks: dict[str, nn.Layer], path: Path, step: int
) -> None:
    """Writes Adam's moments by parameter name, and the step.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    arrays = {"step": np.array(step, np.int64)}
    transposed = _transposed(networks)
    for name, parameter in named_parameters(networks):
        if parameter.name not in optimizer._accumulators["moment1"]:
            continue
        for key, own in (("exp_avg", "moment1"), ("exp_avg_sq", "moment2")):
            moment = to_array(optimizer._accumulators[own][parameter.name])
            arrays[f"{key}/{name}"] = np.ascontiguousarray(moment.T if name in transposed else moment)
        power = to_array(optimizer._accumulators["beta2_pow_acc"][parameter.name])
        # The first of the falling powers that is not above: exact, as the powers are those that Adam multiplied.
        steps = np.searchsorted(-_powers(optimizer._beta2, power.dtype.name), -power[0])
        arrays[f"steps/{name}"] = np.array(steps, np.int64)
    save_file(arrays, path)


def load_optimizer(optimizer: paddle.optimizer.Adam, networks: dict[str, nn.Layer], path: Path) -> int:
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
    optimizer: paddle.optimizer.Adam,
    networks: dict[str, nn.Layer],
    arrays: Mapping[str, np.ndarray],
    path: Path,
) -> None:
    """Restores Adam's moments for the parameters that some arrays know, named as `save_optimizer` does.

    Raises:
        UserError: a moment has another shape, or is none, such as NaN; it names the file that they come from.
    """
    transposed = _transposed(networks)
    trained = {parameter.name for group in optimizer._param_groups for parameter in group["params"]}
    expected = {name: p for name, p in named_parameters(networks) if p.name in trained}
    shapes = {
        name: tuple(parameter.shape)[:: -1 if name in transposed else 1]
        for name, parameter in expected.items()
    }
    check_moments(arrays, shapes, path)
    check_weights(str(path), {key: array for key, array in arrays.items() if key.startswith("exp_avg")})
    block = paddle.static.default_main_program().global_block()
    for name, parameter in expected.items():
        if f"exp_avg/{name}" not in arrays:
            continue
        optimizer._create_accumulators(block, [parameter])
        own = {key: tensors[parameter.name] for key, tensors in optimizer._accumulators.items()}
        for key, accumulator in (("exp_avg", own["moment1"]), ("exp_avg_sq", own["moment2"])):
            moment = arrays[f"{key}/{name}"]
            _set(accumulator, moment.T if name in transposed else moment)
        for key, beta in (("beta1_pow_acc", optimizer._beta1), ("beta2_pow_acc", optimizer._beta2)):
            powers = _powers(beta, to_array(own[key]).dtype.name)
            _set(own[key], powers[[min(int(arrays[f"steps/{name}"]), len(powers) - 1)]])


def named_parameters(networks: dict[str, nn.Layer]) -> Iterable[tuple[str, Tensor]]:
    """`("encoder/encoder.conv1.weight", parameter)` of all networks, by official name."""
    for network_name, network in networks.items():
        parameters = dict(network.named_parameters())
        for name, (native, _) in native_names(network).items():
            # PaddlePaddle counts the running statistics among the parameters.
            if native in parameters and native.rpartition(".")[2] not in layouts.OFFICIAL_STATISTICS:
                yield f"{network_name}/{name}", parameters[native]


def _transposed(networks: dict[str, nn.Layer]) -> set[str]:
    """Names of `named_parameters` whose official matrix is the transpose of PaddlePaddle's."""
    return {
        f"{network_name}/{name}"
        for network_name, network in networks.items()
        for name, (_, transposed) in native_names(network).items()
        if transposed
    }


@functools.cache
def _powers(beta: float, dtype: str) -> np.ndarray:
    """beta^(k+1), what Adam holds after k steps, multiplied up one by one as it does, until float32 has no smaller."""
    return np.multiply.accumulate(np.full(2**17, beta, dtype))


def _set(tensor: Tensor, array: np.ndarray) -> None:
    """Fills a tensor, in its own type."""
    tensor.set_value(np.ascontiguousarray(array).astype(to_array(tensor).dtype))
