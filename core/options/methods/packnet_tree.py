"""The nested YAML of PackNet's program, which is All4Depth's, in our options; the configuration in its checkpoints.

A file of theirs holds what differs from `TREE`, their defaults. `translate` reads it strictly: a key that the tree
lacks, or a value that is not here, is an error that names the key. `configured` takes what a checkpoint says of a
trained model, whatever else it holds.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from core.options.methods.packnet import SUPERVISED_METHODS, PackNetOptions
from core.options.option_files import Translation, unbracketed
from core.options.protocols import PROTOCOLS

SHOWN = 60
SETS = ("train", "validation", "test")
_SET = {
    **{"batch_size": 1, "num_workers": 8, "back_context": 0, "forward_context": 0},
    **{"dataset": [], "path": [], "split": [], "depth_type": [""], "input_depth_type": [""]},
    **{"cameras": [[]], "num_logs": 5},
}
_TRAIN = {"batch_size": 8, "num_workers": 16, "back_context": 1, "forward_context": 1, "repeat": [1]}
_NETWORK = {"name": "", "checkpoint_path": "", "version": "", "dropout": 0.0}
_RATE = {"lr": 2e-4, "weight_decay": 0.0}
TREE: dict[str, Any] = {
    "name": "",
    "debug": False,
    "arch": {"seed": 42, "min_epochs": 1, "max_epochs": 50, "validate_first": False},
    "checkpoint": {
        **{"filepath": "", "save_top_k": 5, "monitor": "loss", "monitor_index": 0, "mode": "auto"},
        **{"s3_path": "", "s3_frequency": 1, "s3_url": ""},
    },
    "save": {
        "folder": "",
        "depth": {"rgb": True, "viz": True, "npz": True, "png": True},
        "pretrained": "",
    },
    "wandb": {
        **{"dry_run": True, "name": "", "project": "", "entity": "", "tags": [], "dir": "", "url": ""},
    },
    "model": {
        "name": "",
        "checkpoint_path": "",
        "optimizer": {"name": "Adam", "depth": _RATE, "pose": _RATE},
        "scheduler": {"name": "StepLR", "step_size": 10, "gamma": 0.5, "T_max": 20},
        "params": {"crop": "", "min_depth": 0.0, "max_depth": 80.0, "scale_output": "resize"},
        "loss": {
            **{"num_scales": 4, "progressive_scaling": 0.0, "flip_lr_prob": 0.5, "rotation_mode": "euler"},
            **{"upsample_depth_maps": True, "ssim_loss_weight": 0.85, "occ_reg_weight": 0.1},
            **{"smooth_loss_weight": 0.001, "C1": 1e-4, "C2": 9e-4, "photometric_reduce_op": "min"},
            **{"disp_norm": True, "clip_loss": 0.0, "padding_mode": "zeros", "automask_loss": True},
            **{"velocity_loss_weight": 0.1, "supervised_method": "sparse-l1", "supervised_num_scales": 4},
            "supervised_loss_weight": 0.9,
        },
        "depth_net": _NETWORK,
        "pose_net": _NETWORK,
    },
    "datasets": {
        "augmentation": {
            **{"image_shape": (), "jittering": (0.2, 0.2, 0.2, 0.05)},
            **{"crop_train_borders": (), "crop_eval_borders": ()},
        },
        "train": _SET | _TRAIN,
        "validation": _SET,
        "test": _SET,
    },
    # Written by the program.
    "config": "",
    "default": "",
    "prepared": False,
}

SUPERVISED = {
    **{"SelfSupModel": "none", "VelSupModel": "velocity", "SemiSupModel": "semi", "SupModel": "full"},
    "GenericSelfSupModel": "none",
}
# Their depth networks: our method, our network. Of ResNets the version says how deep.
DEPTH_NETWORKS = {
    "PackNet01": ("packnet", "packnet01"),
    "PackNetSlim01": ("packnet", "packnet_slim01"),
    "DepthResNet": ("packnet", "depth_resnet"),
    "PackNetSAN01": ("packnet_san", "packnet_san01"),
    "RaySurfaceResNet": ("ray_surface", "ray_resnet"),
}
POSE_NETWORKS = {"PoseNet": "pose_net", "PoseResNet": "pose_resnet"}
READERS = {"KITTI": "kitti", "DGP": "ddad", "Image": "folder"}
# Rules of a validation: crop, greatest depth, how the prediction comes to the size of the truth.
RULES = {
    ("garg", 80.0, "resize"): "packnet",
    ("garg", 80.0, "top-center"): "packnet_top_center",
    ("", 200.0, "resize"): "packnet_ddad",
}
METRICS = ("abs_rel", "sqr_rel", "rmse", "rmse_log", "a1", "a2", "a3")
METRIC = re.compile(rf"(?:(.*)-)?({'|'.join(METRICS)})(?:_pp)?(?:_gt)?")
# Options of the loss that have our names and meanings.
LOSS_NUMBERS = (
    *("num_scales", "progressive_scaling", "flip_lr_prob", "upsample_depth_maps", "ssim_loss_weight"),
    *("smooth_loss_weight", "clip_loss", "automask_loss", "velocity_loss_weight", "supervised_num_scales"),
    "supervised_loss_weight",
)
LOSS_WORDS = {
    "photometric_reduce_op": ("min", "mean"),
    "padding_mode": ("zeros", "border"),
    # silog needs true depth everywhere, which the usual lists have not.
    "supervised_method": tuple(word for word in SUPERVISED_METHODS if word != "silog"),
}


# ---- the configuration in a checkpoint -------------------------------------------------------------------


def configured(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Size, supervision, dropout and loss of its program's configuration, where it has them.

    Values that are not here say nothing of a trained model.
    """
    shape = value_at(configuration, "datasets", "augmentation", "image_shape")
    found: dict[str, Any] = {}
    if isinstance(shape, list) and len(shape) == 2:
        found |= {"height": shape[0], "width": shape[1]}
    model = value_at(configuration, "model", "name")
    if isinstance(model, str) and _supervision(model) is not None:
        found["supervision"] = _supervision(model)
    loss = value_at(configuration, "model", "loss")
    loss = loss if isinstance(loss, dict) else {}
    found |= {name: loss[name] for name in LOSS_NUMBERS if loss.get(name) is not None}
    found |= {name: loss[name] for name, known in LOSS_WORDS.items() if loss.get(name) in known}
    if found.get("supervision") == "semi" and found.get("supervised_loss_weight") == 1:
        found["supervision"] = "full"
    depth = value_at(configuration, "model", "depth_net")
    if isinstance(depth, dict) and str(depth.get("name")).startswith("PackNet") and depth.get("dropout"):
        found["dropout"] = depth["dropout"]
    return found


def _supervision(model: str) -> str | None:
    """What teaches a model of theirs; those that complete depth are called like those that do not."""
    return SUPERVISED.get(model.replace("Completion", ""))


def value_at(configuration: Any, *names: str) -> Any:
    """A value by its path; None where there is none."""
    for name in names:
        configuration = configuration.get(name) if isinstance(configuration, dict) else None
    return configuration


# ---- their YAML ------------------------------------------------------------------------------------------


def translate(content: Mapping[str, Any]) -> Translation | None:
    """A file of theirs in our options; None where none of its keys is a section of the tree.

    Raises:
        ValueError: an unknown key, or a value that is not here; names the key.
    """
    if not any(isinstance(TREE.get(key), dict) and isinstance(value, dict) for key, value in content.items()):
        return None
    tree, notes = _merged(TREE, content), _notes(content)
    model, data = tree["model"], tree["datasets"]
    values = (
        configured(tree) | _networks(model) | _run(tree, notes) | _optimization(model) | _loss(model["loss"])
    )
    values |= _images(data["augmentation"])
    _require(
        values.get("supervision") is not None,
        f"model.name: {_shown(model['name'])} is none of {', '.join(SUPERVISED)}",
    )
    values |= _views(data["train"], values["supervision"]) | _lists(tree, values["method"], notes)
    values |= _validation(tree, notes)
    if values["method"] == "ray_surface":
        values = _of_rays(values, notes)
    return Translation(values, tuple(notes))


def _of_rays(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The same where the rays of the camera are found: one list of each part, nothing mirrored."""
    from core.options.methods.ray_surface import NO_FLIP, RaySurfaceOptions

    dead = "model.loss.progressive_scaling"
    notes[:] = [f"{dead}: had no effect" if note.startswith(dead) else note for note in notes]
    if values["flip_lr_prob"]:
        notes.append(f"model.loss.flip_lr_prob: {NO_FLIP}")
    _require(values["supervision"] == "none", "model.name: of these networks GenericSelfSupModel is here")
    _require(values["dropout"] == 0, "model.depth_net.dropout: is not here; leave it at 0")
    pose = values.get("pose_network", "pose_resnet18")
    _require(pose.startswith("pose_resnet"), "model.pose_net.name: PoseNet is not here; PoseResNet is")
    values["num_layers"] = int(values["depth_network"].removeprefix("ray_resnet"))
    values["pose_num_layers"] = int(pose.removeprefix("pose_resnet"))
    values["temperature_progress"] = "fraction"  # of their constants
    if {"validation_dataset", "validation_path"} & values.keys():
        notes.append("datasets.validation: is of another camera, whose rays are others; nothing is validated")
        values["validation"] = False
    owns = {"train_split": "split", "train_dataset": "dataset", "train_path": "data_path"}
    for name, own in (owns | {"validation_split": "validation_split"}).items():
        if name in values:
            column = values.pop(name)
            many = f"datasets.{name.partition('_')[0]}: several lists are not here; give one"
            _require(len(column) == 1, many)
            values[own] = column[0]
    if not values["validation"]:
        for name in ("validation_split", "validation_dataset", "validation_path"):
            values.pop(name, None)
    known = {field.name for field in fields(RaySurfaceOptions)}
    return {name: value for name, value in values.items() if name in known}


def _merged(known: Mapping[str, Any], given: Any, place: str = "") -> dict[str, Any]:
    """Their defaults, and over them what the file says."""
    given = {} if given is None else given
    _require(isinstance(given, dict), f"{place.rstrip('.')}: expected lines `key: value`")
    for key in given:
        if key not in known:
            raise ValueError(f"{place}{str(key)[:SHOWN]}: unknown key{_hint(key, known, place)}")
    return {key: _taken(default, given.get(key, default), place + key) for key, default in known.items()}


def _hint(key: Any, known: Mapping[str, Any], place: str) -> str:
    nearest = difflib.get_close_matches(str(key)[:SHOWN], known, n=1)
    if nearest:
        return f"; did you mean {place}{nearest[0]}?"
    if any(key == field.name for field in fields(PackNetOptions)):
        return f"; an option of ours stands on the command line: --{key}"
    return ""


def _taken(default: Any, value: Any, place: str) -> Any:
    """A value of the type of the default. Theirs may be written as Python has it: (192, 640), 'True'."""
    if isinstance(default, dict):
        return _merged(default, value, f"{place}.")
    if isinstance(default, bool):
        word = str(value).lower()
        _require(word in ("true", "false"), f"{place}: expected True or False, not {_shown(value)}")
        return word == "true"
    if isinstance(default, list | tuple):
        found = _listed(value)
        _require(found is not None, f"{place}: expected a list, not {_shown(value)}")
        return found
    if isinstance(default, str):
        value = "" if value is None else value
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        _require(plain, f"{place}: expected text, not {_shown(value)}")
        return str(value)
    number = _number(value)
    fits = number is not None and (isinstance(default, float) or isinstance(number, int))
    kind = "a number" if isinstance(default, float) else "a whole number"
    _require(fits, f"{place}: expected {kind}, not {_shown(value)}")
    return float(number) if isinstance(default, float) and number is not None else number


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"[-+]?[0-9.]{1,20}(e[-+]?[0-9]{1,3})?", value):
        return None
    try:
        return int(value) if re.fullmatch("[-+]?[0-9]+", value) else float(value)
    except ValueError:
        return None


def _listed(value: Any) -> list[Any] | None:
    """A list, or text such as (192, 640) or ['a']."""
    if value is None:
        return []
    if isinstance(value, str) and re.fullmatch(r"\(.*\)|\[.*\]", value.strip(), re.DOTALL):
        words = [word.strip("'\"") for word in unbracketed([value.strip().strip("()")])]
        value = [word if _number(word) is None else _number(word) for word in words]
    return list(value) if isinstance(value, list | tuple) else None


def _notes(content: Mapping[str, Any]) -> list[str]:
    """What the file asks for that has no effect here, or another than there."""
    notes = [
        f"model.loss.{name}: had no effect"
        for name in ("occ_reg_weight", "disp_norm")
        if value_at(content, "model", "loss", name) is not None
    ]
    if value_at(content, "model", "loss", "progressive_scaling"):
        notes.append("model.loss.progressive_scaling: works here; in the published program it did nothing")
    if value_at(content, "debug") or value_at(content, "arch", "validate_first"):
        notes.append("debug, arch.validate_first: are not here; --dry_run tries the data and a batch")
    if value_at(content, "save", "folder"):
        notes.append("save: training writes no predictions; predict.py --save stacked depth png does")
    return notes


# ---- section by section ----------------------------------------------------------------------------------


def _run(tree: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Names, folders, epochs; what would be sent away."""
    arch, checkpoint, wandb = tree["arch"], tree["checkpoint"], tree["wandb"]
    _require(arch["min_epochs"] <= arch["max_epochs"], "arch.min_epochs: is above arch.max_epochs")
    values: dict[str, Any] = {"seed": arch["seed"], "num_epochs": arch["max_epochs"]}
    given: dict[str, Any] = {"model_name": tree["name"], "log_dir": checkpoint["filepath"]}
    given["load_weights_folder"] = tree["model"]["checkpoint_path"]
    if checkpoint["s3_path"]:
        given |= {name: checkpoint[name] for name in ("s3_path", "s3_frequency")}
    if checkpoint["s3_url"]:
        notes.append("checkpoint.s3_url: has no effect; --s3_url is the address of a server that speaks S3")
    if wandb["name"] and not wandb["dry_run"]:
        given |= {"wandb": True, "wandb_project": wandb["project"], "wandb_entity": wandb["entity"]}
        notes.append("wandb: is written into the run folder; nothing is sent without --wandb_send as well")
    return values | {name: value for name, value in given.items() if value}


def _networks(model: Mapping[str, Any]) -> dict[str, Any]:
    """Method, networks, their versions, and where they start."""
    depth, pose = model["depth_net"], model["pose_net"]
    _require(
        depth["name"] in DEPTH_NETWORKS,
        f"model.depth_net.name: {_shown(depth['name'])} is none of {', '.join(DEPTH_NETWORKS)}",
    )
    method, network = DEPTH_NETWORKS[depth["name"]]
    values: dict[str, Any] = {"method": method, "depth_network": network, "dropout": depth["dropout"]}
    starts = {}
    if network.endswith("resnet"):
        values["depth_network"], starts["depth_net"] = _resnet("depth_net", network, depth["version"])
    elif depth["version"]:
        values["version"] = depth["version"]
    if pose["name"]:
        _require(
            pose["name"] in POSE_NETWORKS,
            f"model.pose_net.name: {_shown(pose['name'])} is none of {', '.join(POSE_NETWORKS)}",
        )
        values["pose_network"] = POSE_NETWORKS[pose["name"]]
        if pose["name"] == "PoseResNet":
            values["pose_network"], starts["pose_net"] = _resnet(
                "pose_net", values["pose_network"], pose["version"]
            )
    _require(pose["dropout"] == 0, "model.pose_net.dropout: is not here; leave it at 0")
    if starts:
        _require(
            len(set(starts.values())) == 1,
            "model.depth_net.version, model.pose_net.version: one starts from ImageNet's weights (pt) and one does "
            "not; here both do, or neither",
        )
        values["weights_init"] = next(iter(starts.values()))
    for name, section in (("depth_weights_folder", depth), ("pose_weights_folder", pose)):
        values |= {name: section["checkpoint_path"]} if section["checkpoint_path"] else {}
    return values


def _resnet(place: str, network: str, version: str) -> tuple[str, str]:
    """Our name of a ResNet, and what its encoder starts from: `18pt`, `50`."""
    layers = "18|34|50" if network == "ray_resnet" else "18|50"
    found = re.fullmatch(f"({layers})(pt)?", version)
    words = ", ".join([*(f"{one}pt" for one in layers.split("|")), *layers.split("|")])
    _require(found is not None, f"model.{place}.version: {_shown(version)} is none of {words}")
    assert found is not None
    return network + found[1], "pretrained" if found[2] else "scratch"


def _optimization(model: Mapping[str, Any]) -> dict[str, Any]:
    optimizer, scheduler = model["optimizer"], model["scheduler"]
    for place, section, known in (("optimizer", optimizer, "Adam"), ("scheduler", scheduler, "StepLR")):
        name = section["name"]
        _require(name == known, f"model.{place}.name: {_shown(name)} is not here; {known} is")
    depth, pose = optimizer["depth"], optimizer["pose"]
    return {
        "learning_rate": depth["lr"],
        "pose_learning_rate": None if pose["lr"] == depth["lr"] else pose["lr"],
        "depth_weight_decay": depth["weight_decay"],
        "pose_weight_decay": pose["weight_decay"],
        "scheduler_step_size": scheduler["step_size"],
        "scheduler_gamma": scheduler["gamma"],
    }


def _loss(loss: Mapping[str, Any]) -> dict[str, Any]:
    rotation, constants = loss["rotation_mode"], (loss["C1"], loss["C2"])
    _require(
        rotation == "euler",
        f"model.loss.rotation_mode: {_shown(rotation)} is not euler, the only one that is here",
    )
    _require(constants == (1e-4, 9e-4), "model.loss.C1, C2: SSIM has its usual constants, 1e-4 and 9e-4")
    for name, known in LOSS_WORDS.items():
        words = SUPERVISED_METHODS if name == "supervised_method" else known
        _require(
            loss[name] in words, f"model.loss.{name}: {_shown(loss[name])} is none of {', '.join(words)}"
        )
    return {name: loss[name] for name in (*LOSS_NUMBERS, *LOSS_WORDS)}


def _images(augmentation: Mapping[str, Any]) -> dict[str, Any]:
    """Size, crops, colours."""
    place = "datasets.augmentation"
    for name, values in augmentation.items():
        _require(all(_number(value) is not None for value in values), f"{place}.{name}: expected numbers")
    crops = {name: augmentation[name] or None for name in ("crop_train_borders", "crop_eval_borders")}
    shape = augmentation["image_shape"] or _shape_of_crop(crops["crop_train_borders"])
    _require(
        len(shape) == 2 and all(isinstance(side, int) for side in shape),
        f"{place}.image_shape: expected (height, width), pixels, where no crop of four numbers says the size",
    )
    return {"height": shape[0], "width": shape[1], "jittering": augmentation["jittering"] or None, **crops}


def _shape_of_crop(crop: list[Any] | None) -> list[int]:
    """Height and width of what `top height left width` keeps, those of them that it says."""
    if crop is None or len(crop) != 4:
        return []
    return [
        size if size > 0 else size - start
        for start, size in (crop[:2], crop[2:])
        if size > 0 or (start < 0 and isinstance(start, int))  # from the end, to the end
    ]


def _views(train: Mapping[str, Any], supervision: str) -> dict[str, Any]:
    """The neighbours: those before in the order of time, then those after."""
    back, forward = train["back_context"], train["forward_context"]
    _require(back >= 0 and forward >= 0, "datasets.train.back_context, forward_context: must not be negative")
    _require(back + forward < 32, "datasets.train.back_context, forward_context: are more than 31 neighbours")
    if back + forward == 0:
        _require(
            supervision == "full",
            "datasets.train.back_context, forward_context: are 0, and so there is no view to compare with",
        )
        return {}
    return {"frame_ids": [0, *range(-back, 0), *range(1, forward + 1)]}


def _lists(tree: Mapping[str, Any], method: str, notes: list[str]) -> dict[str, Any]:
    """The lists of training and validation, and what a step takes."""
    data = tree["datasets"]
    train, validation = (_rows(data[part], f"datasets.{part}") for part in SETS[:2])
    first = _deciding(tree["checkpoint"], validation, notes)
    for column in validation.values():
        column.insert(0, column.pop(first)) if first else None
    _require(bool(train["split"]), "datasets.train.split: names no list")
    _rows(data["test"], "datasets.test")
    values: dict[str, Any] = {
        "train_split": train["split"],
        "depth_type": _types(train["depth_type"]),
        "repeat": train["repeat"],
        "num_workers": data["train"]["num_workers"],
        "batch_size": data["train"]["batch_size"],
        "validation": bool(validation["split"]),
    }
    if validation["split"]:
        values["validation_split"] = validation["split"]
        values["validation_depth_type"] = _types(validation["depth_type"])
    for name, own, everywhere in (("dataset", "dataset", True), ("path", "data_path", False)):
        values |= _once(name, own, train[name], validation[name], everywhere)
    values |= _cameras(train, validation)
    values["batch_size"] *= _views_of_moment(train)
    return values | _input_depth(train["input_depth_type"], validation["input_depth_type"], method, notes)


def _once(name: str, own: str, train: list[str], validation: list[str], everywhere: bool) -> dict[str, Any]:
    """A column as the option `own` for all lists where they agree, so that the command line may change it for all.

    Args:
        everywhere: that option is also what the first list has, where they do not agree.
    """
    if len({*train, *validation}) == 1:
        return {own: train[0]}
    columns = {f"train_{name}": train} | ({f"validation_{name}": validation} if validation else {})
    return columns | ({own: train[0]} if everywhere else {})


def _input_depth(train: list[str], validation: list[str], method: str, notes: list[str]) -> dict[str, Any]:
    """The depth that a network sees."""
    place = "datasets.train.input_depth_type"
    if method == "packnet":
        notes += [f"{place}: this network sees no depth"] if any(train) else []
        return {}
    if not any(train):
        forgotten = "is empty, and the published program trained without it; here it is the usual one"
        notes.append(f"{place}: {forgotten}")
    return {"input_depth_type": _types(train), "validation_input_depth_type": _types(validation)}


def _rows(section: Mapping[str, Any], place: str) -> dict[str, list[Any]]:
    """The columns of a set of lists, each with a value for every list: one value counts for all."""
    names = ("dataset", "path", "split", "depth_type", "input_depth_type", "cameras", "repeat")
    columns = {name: section[name] for name in names if name in section}
    count = max(len(section[name]) for name in ("split", "cameras", "depth_type"))
    if not section["split"]:
        return {name: [] for name in columns}
    for name, values in columns.items():
        _require(
            len(values) in (1, count),
            f"{place}.{name}: {len(values)} values; give one for all lists, or {count}",
        )
        kind = {"repeat": int, "cameras": list}.get(name, str)
        fits = all(isinstance(value, kind) or (name == "cameras" and value in ("", None)) for value in values)
        _require(fits, f"{place}.{name}: expected {'whole numbers' if kind is int else 'names'} in a list")
    columns = {name: values * count if len(values) == 1 else values for name, values in columns.items()}
    for name in columns["dataset"]:
        _require(name in READERS, f"{place}.dataset: {_shown(name)} is none of {', '.join(READERS)}")
    columns["dataset"] = [READERS[name] for name in columns["dataset"]]
    columns["split"] = [
        _split(*row) for row in zip(columns["dataset"], columns["path"], columns["split"], strict=True)
    ]
    columns["cameras"] = [
        inner if reader == "ddad" else []
        for reader, inner in zip(columns["dataset"], columns["cameras"], strict=True)
    ]
    for reader, inner in zip(columns["dataset"], columns["cameras"], strict=True):
        named = bool(inner) and all(isinstance(name, str) and name for name in inner)
        _require(
            named or reader != "ddad",
            f"{place}.cameras: expected a list of names for each data set, such as [['camera_01']]",
        )
    return columns


def _split(reader: str, path: str, split: str) -> str:
    """A list may lie in the data set's folder."""
    inside = Path(path).expanduser() / split
    return str(inside) if reader == "kitti" and not Path(split).exists() and inside.is_file() else split


def _types(types: list[str]) -> list[str] | None:
    """Words for measured depth; None where none is named."""
    return [word or "none" for word in types] if any(types) else None


def _cameras(train: Mapping[str, Any], validation: Mapping[str, Any]) -> dict[str, Any]:
    """The cameras, where they have names: once for all, or of each list, joined by commas."""
    inner = [names for names in (*train["cameras"], *validation["cameras"]) if names]
    if all(names == inner[0] for names in inner):
        return {"cameras": inner[0]} if inner else {}
    columns = {"train_cameras": train["cameras"], "validation_cameras": validation["cameras"]}
    return {
        option: [",".join(names) or "none" for names in column]
        for option, column in columns.items()
        if any(column)
    }


def _views_of_moment(train: Mapping[str, Any]) -> int:
    """A batch of theirs is a moment, seen by all cameras of a list."""
    counts = {len(names) for names in train["cameras"] if names}
    _require(len(counts) < 2, "datasets.train.cameras: as many in each list, for a batch is of one size here")
    return max(counts, default=1)


# ---- what decides the best checkpoint --------------------------------------------------------------------


def _validation(tree: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The rule of a validation, by the nearest that is here."""
    params = tree["model"]["params"]
    rule = (params["crop"], params["max_depth"], params["scale_output"])
    protocol = RULES.get(rule, "packnet")
    if protocol not in PROTOCOLS:
        protocol = "packnet"
    _monitor(tree, notes)
    if (rule, params["min_depth"]) != (next((r for r, name in RULES.items() if name == protocol), None), 0):
        notes.append(f"model.params: validations measure by --protocol {protocol}, not by these values")
    return {"protocol": protocol}


def _monitor(tree: Mapping[str, Any], notes: list[str]) -> None:
    """Of a validation list it is abs_rel that decides."""
    checkpoint = tree["checkpoint"]
    monitor, mode = checkpoint["monitor"], checkpoint["mode"]
    known = ("auto", "min", "max")
    _require(mode in known, f"checkpoint.mode: {_shown(mode)} is none of {', '.join(known)}")
    found = METRIC.fullmatch(monitor)
    asked = monitor != "loss"  # which never existed
    if (asked and (found is None or found[2] != "abs_rel")) or mode == "max":
        notes.append("checkpoint.monitor, checkpoint.mode: the best checkpoint is that of the least abs_rel")


def _deciding(checkpoint: Mapping[str, Any], validation: Mapping[str, Any], notes: list[str]) -> int:
    """The number of the validation list that the monitor names, as `<path>-<split>-<depth_type>-`."""
    index, found = checkpoint["monitor_index"], METRIC.fullmatch(checkpoint["monitor"])
    columns = (validation[name] for name in ("path", "split", "depth_type"))
    names = [
        "-".join([Path(path).stem, Path(split).stem, depth])
        for path, split, depth in zip(*columns, strict=True)
    ]
    if found is not None and found[1]:
        named = [number for number, name in enumerate(names) if f"{found[1]}-".startswith(f"{name}-")]
        if named:
            return named[0]
        notes.append("checkpoint.monitor: names none of the validation lists; the first decides")
    _require(
        0 <= index < max(len(names), 1), f"checkpoint.monitor_index: there is no validation list {index}"
    )
    return index


def _shown(value: Any) -> str:
    return repr(value)[:SHOWN] if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
