"""ImageNet weights for the encoders, from one file for both backends."""

from pathlib import Path

import numpy as np

from core.errors import UserError
from core.plausibility.checks import unlikely
from core.weights import families, read_weights_file
from core.weights.layouts import check_state

FIRST_CONVOLUTION = "conv1.weight"


def imagenet_state(path: Path, images: int = 1) -> dict[str, np.ndarray]:
    """State of an encoder with ImageNet weights, names as in the official `encoder` files.

    For several stacked images the first convolution is repeated along its input channels and divided by their
    number, so that equal images give the features of one (Godard et al. 2019, section 4).

    Args:
        path: of `core.weights.zoo.imagenet_file`, of any format, with torchvision's names.
        images: number of stacked images.

    Raises:
        UserError: the file is damaged, not a ResNet's, or has numbers that weights cannot be.
    """
    state = read_weights_file(path)
    check_state(path, state)
    if FIRST_CONVOLUTION not in state:
        raise UserError(f"{path}: has no {FIRST_CONVOLUTION}; expected torchvision's names at the root")
    shapes = {name: array.shape for name, array in state.items()}
    network = families.recognise(shapes)
    if network is not None and (remark := network.remark(shapes)):
        unlikely("imagenet_classifier", f"{path}: {remark}")
    state[FIRST_CONVOLUTION] = np.tile(state[FIRST_CONVOLUTION], (1, images, 1, 1)) / np.float32(images)
    return {f"encoder.{name}": array for name, array in state.items()}
