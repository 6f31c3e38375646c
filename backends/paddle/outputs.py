"""Networks built from the rules of their release, and what they return for fixed inputs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from backends.paddle.builders import builder
from backends.paddle.checkpoint import load_network_state
from backends.paddle.tensors import to_array
from core.weights.families.base import Network
from core.weights.sources import WeightsFile, read_files


def make_network(rule: Network) -> nn.Layer:
    """The network that a rule describes, with fresh weights."""
    return builder(rule).make_network(rule)


def load_network(file: WeightsFile) -> nn.Layer:
    """The network in a file, in evaluation mode.

    Raises:
        UserError: the file is not exactly that network.
    """
    network = make_network(file.network)
    load_network_state(network, file.state, str(file.path))
    network.eval()
    return network


def network_outputs(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """What the networks in the files of one model return, `{"<network>/<number>": array}`; see `builders`."""
    files = read_files(paths)
    networks = {file.network.file: load_network(file) for file in files}
    outputs = {}
    with paddle.no_grad():
        for file in files:
            tensors = builder(file.network).network_outputs(file.network, networks)
            outputs |= {f"{file.network.file}/{number}": to_array(t) for number, t in enumerate(tensors)}
    return outputs
