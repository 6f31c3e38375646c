"""`.ckpt` files as PackNet's program writes them, made by hand: neither yacs nor PyTorch is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.core.twin_family import record
from tests.core.weight_files import Raw, code, tensor, whole, write_legacy, write_zip

PREFIXES = {"depth": "model.depth_net.", "pose": "model.pose_net."}
MOMENTS = {"exp_avg": 0.5, "exp_avg_sq": 0.25}


def node(content: Mapping[str, Any]) -> Raw:
    """A configuration as yacs pickles it: nodes in nodes."""
    inside = {key: node(value) if isinstance(value, dict) else value for key, value in content.items()}
    return record("yacs.config", "CfgNode", inside)


def configuration(**changed: Any) -> dict[str, Any]:
    """The part of its program's configuration that says what a model is, and some that does not."""
    loss = {"num_scales": 4, "flip_lr_prob": 0.5, "rotation_mode": "euler", "disp_norm": True, "C1": 1e-4}
    loss |= {
        "clip_loss": 0.0,
        "padding_mode": "zeros",
        "automask_loss": True,
        "supervised_method": "sparse-l1",
    }
    networks = {
        "depth_net": {"name": "PackNet01", "checkpoint_path": "", "version": "1A", "dropout": 0.0},
        "pose_net": {"name": "PoseNet", "checkpoint_path": "", "version": "", "dropout": 0.0},
    }
    model = {"name": "SelfSupModel", "loss": loss | changed.pop("loss", {}), **networks}
    shape = changed.pop("image_shape", (64, 96))
    arch = {"seed": 42} | {name: changed.pop(name) for name in ("max_epochs",) if name in changed}
    datasets = {"augmentation": {"image_shape": shape, "jittering": (0.2, 0.2, 0.2, 0.05)}}
    return {
        "name": "",
        "arch": arch,
        "model": model | changed,
        "datasets": datasets,
        "prepared": True,
    }


class Checkpoint:
    """A file in the making.

    Args:
        networks: {"depth", "pose": {name: array}}, or shapes, of zeros.
        prefixes: of the names of each.
    """

    def __init__(
        self, networks: Mapping[str, Mapping[str, Any]], prefixes: Mapping[str, str] = PREFIXES
    ) -> None:
        self.storages: dict[str, np.ndarray] = {}
        state = {
            prefixes[file] + own: self.tensor(value)
            for file, values in networks.items()
            for own, value in values.items()
        }
        self.content: dict[str, Any] = {"config": node(configuration()), "epoch": 9, "state_dict": state}
        self.networks = networks
        self.legacy = False

    def tensor(self, value: Any) -> Raw:
        array = np.zeros(value, np.float32) if isinstance(value, tuple) else value
        key = str(len(self.storages))
        self.storages[key] = array
        return tensor(array, key)

    def with_optimizer(self) -> "Checkpoint":
        """One Adam, a group for each network; it numbers all parameters in their order."""
        state, groups, number = {}, [], 0
        for file, values in self.networks.items():
            first = number
            for value in values.values():
                shape = value if isinstance(value, tuple) else value.shape
                moments = {
                    key: self.tensor(np.full(shape, one + number, np.float32)) for key, one in MOMENTS.items()
                }
                state[number] = {"step": 5, **moments}
                number += 1
            groups.append({"name": file.capitalize(), "lr": 2e-4, "params": list(range(first, number))})
        self.content["optimizer"] = {"state": state, "param_groups": groups}
        self.content["scheduler"] = {"step_size": 30, "gamma": 0.5, "base_lrs": [2e-4, 2e-4], "last_epoch": 9}
        return self

    def write(self, path: Path) -> Path:
        """Writes it, as PyTorch before 1.6 did where it is `legacy`."""
        content = whole(self.content)
        if self.legacy:
            return write_legacy(
                path, content, {key: (a.size, a.tobytes()) for key, a in self.storages.items()}
            )
        return write_zip(path, content, {key: array.tobytes() for key, array in self.storages.items()})


__all__ = ["Checkpoint", "code", "configuration", "node"]
