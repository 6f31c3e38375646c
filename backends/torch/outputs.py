"""Networks built from the rules of their release, and what they return for fixed inputs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from backends.torch.builders import builder
from backends.torch.checkpoint import load_network_state
from backends.torch.tensors import to_array
from core.weights.families.base import Network
from core.weights.sources import WeightsFile, read_files


def make_network(rule: Network) -> nn.Module:
    """The network that a rule describes, with fresh weights."""
    return builder(rule).make_network(rule)


def load_network(file: WeightsFile) -> nn.Module:
    """The network in a file, in evaluation mode.

    Raises:
        UserError: the file is not exactly that network.
    """
    network = make_network(file.network)
    load_network_state(network, file.state, str(file.path))
    return network.eval()


def network_outputs(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """What the networks in the files of one model return, `{"<network>/<number>": array}`; see `builders`."""
    files = read_files(paths)
    networks = {file.network.file: load_network(file) for file in files}
    outputs = {}
    with torch.no_grad():
        for file in files:
            tensors = builder(file.network).network_outputs(file.network, networks)
            outputs |= {f"{file.network.file}/{number}": to_array(t) for number, t in enumerate(tensors)}
    return outputs
