"""`epoch_*.pth` as FeatDepth's program writes them, made by hand: neither mmcv nor PyTorch is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.weights.families.base import is_counter
from core.weights.families.featdepth import PREFIXES
from core.weights.sources import STATISTICS
from tests.core.weight_files import Raw, tensor, whole, write_legacy, write_zip

OFFICIAL = {file: prefix for prefix, file in PREFIXES.items()}
META = {
    "mmcv_version": "0.4.4",
    "time": "Sat Aug 22 2020",
    "config": "DEPTH_LAYERS = 50\nmodel = dict(name='mono_fm')\n",
}


class Checkpoint:
    """A file in the making.

    Args:
        networks: {our file name: {name: array}}, or shapes, of zeros; in the program's order.
        epochs: that are done.
    """

    def __init__(self, networks: Mapping[str, Mapping[str, Any]], epochs: int = 20) -> None:
        self.storages: dict[str, np.ndarray] = {}
        self.legacy, self.networks = False, networks
        self.content: dict[str, Any] = {"meta": {"epoch": epochs, "iter": 9, **META}}
        self.names = [(file, own) for file, values in networks.items() for own in values]

    def tensor(self, value: Any) -> Raw:
        array = np.zeros(value, np.float32) if isinstance(value, tuple) else np.asarray(value)
        key = str(len(self.storages))
        self.storages[key] = array
        return tensor(array, key, *([None] if self.legacy else []))

    def parameters(self, without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
        """File and name of what PyTorch calls parameters, in order."""
        names = [(file, own) for file, own in self.names if not own.endswith(STATISTICS)]
        return [(file, own) for file, own in names if not is_counter(own) and file not in without]

    def with_optimizer(self, without: tuple[str, ...] = (), few: bool = False) -> "Checkpoint":
        """One Adam. The classifiers and the extractor never learned; moments are the number of the parameter.

        Args:
            without: networks that it was not given.
            few: moments of vectors alone.
        """
        state = {}
        parameters = self.parameters(without)
        for number, (file, own) in enumerate(parameters):
            value = self.networks[file][own]
            shape = value if isinstance(value, tuple) else value.shape
            if ".fc." in own or file == "extractor" or (few and len(shape) > 1):
                continue
            first, second = (np.full(shape, number + half, np.float32) for half in (0.5, 0.25))
            state[number] = {"step": 7, "exp_avg": self.tensor(first), "exp_avg_sq": self.tensor(second)}
        groups = [{"lr": 1e-4, "betas": (0.9, 0.999), "params": list(range(len(parameters)))}]
        self.content["optimizer"] = {"state": state, "param_groups": groups}
        return self

    def write(self, path: Path, wrapper: str = "") -> Path:
        """Writes it, as PyTorch before 1.6 did where it is `legacy`."""
        state = {wrapper + OFFICIAL[file] + own: self.networks[file][own] for file, own in self.names}
        self.content["state_dict"] = {name: self.tensor(value) for name, value in state.items()}
        content = whole(self.content)
        if self.legacy:
            storages = {key: (a.size, a.tobytes()) for key, a in self.storages.items()}
            return write_legacy(path, content, storages)
        return write_zip(path, content, {key: array.tobytes() for key, array in self.storages.items()})
