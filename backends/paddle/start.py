"""The numbers that a new run starts with: ImageNet's, those of another run, or random ones."""

from pathlib import Path

import paddle
from paddle import nn

from backends.paddle import checkpoint
from backends.paddle.networks.resnet import ResNetEncoder
from core.errors import UserError
from core.options import Options
from core.weights.pretrained import imagenet_state
from core.weights.zoo import imagenet_file


def initialise_encoders(networks: dict[str, nn.Layer], options: Options) -> None:
    """ImageNet weights for every ResNet, unless training starts from scratch or from a weights folder.

    Raises:
        UserError: the file is missing and cannot be fetched, or it is damaged.
    """
    for name, network in networks.items():
        loaded = options.load_weights_folder is not None and name in options.models_to_load
        if options.weights_init == "pretrained" and isinstance(network, ResNetEncoder) and not loaded:
            path = imagenet_file(options.num_layers)
            checkpoint.load_network_state(network, imagenet_state(path, network.images), str(path))


def load_start(networks: dict[str, nn.Layer], optimizer: paddle.optimizer.Adam, options: Options) -> None:
    """Weights of `--load_weights_folder`, and Adam's moments where the folder has them.

    Raises:
        UserError: files are missing, damaged or of another network; or none of the networks is to be loaded.
    """
    if options.load_weights_folder is None:
        return
    folder = Path(options.load_weights_folder)
    names = [name for name in options.models_to_load if name in networks]
    if not names:
        raise UserError(
            f"--models_to_load {' '.join(options.models_to_load)}: this model has none of them, "
            f"but {', '.join(networks)}"
        )
    checkpoint.load_networks(networks, folder, names)
    if (folder / checkpoint.STATE_FILE).is_file():
        loaded = {name: networks[name] for name in names}
        checkpoint.load_optimizer(optimizer, loaded, folder / checkpoint.STATE_FILE)
