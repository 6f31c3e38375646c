"""ImageNet weights for the encoders, from one file for both backends."""

from pathlib import Path

import numpy as np

from core.errors import UserError
from core.weights.h5 import read_h5

FOLDER = Path(__file__).resolve().parent.parent.parent / "weights"
FIRST_CONVOLUTION = "conv1.weight"


def imagenet_state(num_layers: int, images: int = 1, folder: Path = FOLDER) -> dict[str, np.ndarray]:
    """State of an encoder with ImageNet weights, names as in the official `encoder` files.

    For several stacked images the first convolution is repeated along its input channels and divided by their
    number, so that equal images give the features of one (Godard et al. 2019, section 4).

    Args:
        num_layers: of the ResNet.
        images: number of stacked images.
        folder: where `resnet<num_layers>_pretrain.h5` lies: torchvision's names, flat.

    Raises:
        UserError: no such file, or it is not a ResNet's.
    """
    path = folder / f"resnet{num_layers}_pretrain.h5"
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; put torchvision's ResNet-{num_layers} there as flat HDF5, "
            "or train with --weights_init scratch"
        )
    state = read_h5(path)
    if FIRST_CONVOLUTION not in state:
        raise UserError(f"{path}: has no {FIRST_CONVOLUTION}; expected torchvision's names at the root")
    state[FIRST_CONVOLUTION] = np.tile(state[FIRST_CONVOLUTION], (1, images, 1, 1)) / np.float32(images)
    return {f"encoder.{name}": array for name, array in state.items()}
