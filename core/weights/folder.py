"""What a weights folder says of its model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.files.whole import EXTENSIONS, find_file
from core.options import Options
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_method_options
from core.weights.families import recognise
from core.weights.families.base import Network
from core.weights.families.monodepth2 import Decoder, Encoder, PoseCNN, PoseDecoder
from core.weights.layouts import State, read_state

OPTIONS_FILE = "options.yaml"
# Offsets in time of the frames that a pose network of so many images sees; the file has only their number.
FRAMES = (0, -1, 1, -2, 2, -3, 3, -4, 4)


def model_options(folder: Path, states: Mapping[str, State], overrides: dict[str, Any]) -> Options:
    """The options of the model in a folder: `options.yaml`, or what the files of an official release tell.

    Size and stereo are numbers in the encoder file; the ResNet, the scales and the kind of the pose network follow from
    names and shapes.

    Args:
        states: official states of networks that have been read, such as `{"encoder": …, "depth": …}`; without
            `options.yaml` the pose networks are read from the folder.
        overrides: values that replace those of the folder; None leaves them.

    Raises:
        UserError: `options.yaml` is damaged, a value is impossible, or `num_layers` contradicts the encoder file.
    """
    overrides = {name: value for name, value in overrides.items() if value is not None}
    encoder = _recognise(states.get("encoder", {}))
    if (folder / OPTIONS_FILE).is_file():
        options = load_method_options(folder / OPTIONS_FILE)
    else:
        size = _size(folder, states.get("encoder", {}))
        options = Monodepth2Options(**size, **_networks(folder, states, size["use_stereo"]))
    if isinstance(encoder, Encoder) and overrides.get("num_layers", encoder.num_layers) != encoder.num_layers:
        raise UserError(
            f"{folder}: --num_layers {overrides['num_layers']}, but its encoder is a ResNet-{encoder.num_layers}; "
            "leave the option out, the file tells"
        )
    options = dataclasses.replace(options, **overrides)
    options.validate()
    return options


def _recognise(state: Mapping[str, np.ndarray]) -> Network | None:
    return recognise({name: array.shape for name, array in state.items()})


def _size(folder: Path, encoder: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Height, width and stereo."""
    numbers = {name: _number(folder, encoder, name) for name in ("height", "width")}
    return {**numbers, "use_stereo": bool(_number(folder, encoder, "use_stereo"))}


def _number(folder: Path, encoder: Mapping[str, np.ndarray], name: str) -> int:
    """What the encoder file says under a name, or the default of that option."""
    try:
        return int(np.asarray(encoder.get(name, getattr(Monodepth2Options, name))).item())
    except (TypeError, ValueError, OverflowError):
        raise UserError(
            f"{folder}: {name} in the encoder file is no number; download the file again"
        ) from None


def _networks(folder: Path, states: Mapping[str, State], use_stereo: bool) -> dict[str, Any]:
    """The options that follow from names and shapes."""
    found: dict[str, Any] = {}
    encoder, depth = (_recognise(states.get(name, {})) for name in ("encoder", "depth"))
    if isinstance(encoder, Encoder):
        found["num_layers"] = encoder.num_layers
    if isinstance(depth, Decoder) and depth.scales:
        found["scales"] = list(depth.scales)
    pose = _recognise(_state(folder, states, "pose"))
    if isinstance(pose, PoseCNN):
        return found | _pose_options("posecnn", pose.images)
    if isinstance(pose, PoseDecoder) and pose.inputs > 1:
        return found | _pose_options("shared", pose.inputs)
    if isinstance(pose, PoseDecoder):
        pose_encoder = _recognise(_state(folder, states, "pose_encoder"))
        images = pose_encoder.images if isinstance(pose_encoder, Encoder) else 2
        # Pairs predict two motions, of which the first is used.
        return found | _pose_options("separate_resnet", images, all_frames=images > 2 or pose.poses == 1)
    if pose is None and use_stereo:
        found["frame_ids"] = [0]  # trained on stereo pairs alone: the pose is known
    return found


def _state(folder: Path, states: Mapping[str, State], name: str) -> State:
    """The state of a network, {} when the folder lacks it."""
    path = find_file(folder, name, EXTENSIONS["torch"])
    return states[name] if name in states else {} if path is None else read_state(path)[0]


def _pose_options(kind: str, images: int, all_frames: bool | None = None) -> dict[str, Any]:
    """Options of a pose network over so many images; two of them are a pair unless something else is said."""
    together = images > 2 if all_frames is None else all_frames
    found = {"pose_model_type": kind, "pose_model_input": "all" if together else "pairs"}
    if not together:
        return found
    frames = (0, 1) if images == 2 else FRAMES[:images]
    return found | {"frame_ids": list(frames)}
