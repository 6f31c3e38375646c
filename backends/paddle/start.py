"""The numbers that a new run starts with: ImageNet's, those of another run, or random ones."""

from pathlib import Path

import paddle
from paddle import nn

from backends.paddle import checkpoint
from core.errors import UserError, say
from core.options import Options
from core.training.resume import RECORD_FILE
from core.weights.continued import kept_moments
from core.weights.folder import Folder, start_file
from core.weights.partial import completed
from core.weights.pretrained import imagenet_state
from core.weights.zoo import imagenet_file


def initialise_encoders(networks: dict[str, nn.Layer], options: Options) -> None:
    """ImageNet weights for every ResNet that the options name, unless it is loaded from a weights folder.

    Such a network, or that part of it which is called `encoder`, has the names of torchvision below `encoder.`, and
    says how many `images` it sees at once.

    Raises:
        UserError: the file is missing and cannot be fetched, or it is damaged.
    """
    loaded = options.starts()
    for name, num_layers in options.imagenet().items():
        network = networks.get(name)
        if network is not None and name not in loaded:
            path = imagenet_file(num_layers)
            encoder = network if hasattr(network, "images") else network.encoder
            checkpoint.load_network_state(encoder, imagenet_state(path, encoder.images), str(path))


def load_start(networks: dict[str, nn.Layer], optimizer: paddle.optimizer.Adam, options: Options) -> None:
    """Weights of `options.starts()`; Adam's moments where folder or file have them for a network of the same name.

    With `allow_partial` those of the weights that fit, and no moments.

    Raises:
        UserError: files are missing, damaged or of another network; or none of the networks is to be loaded.
    """
    starts = options.starts()
    found = {name: start for name, start in starts.items() if name in networks}
    if starts and not found:
        raise UserError(
            f"--models_to_load {' '.join(starts)}: this model has none of them, but {', '.join(networks)}"
        )
    loose = options.method if options.allow_partial else None
    folders = {
        folder: Folder(Path(folder), checkpoint.EXTENSION, loose=loose) for folder, _ in found.values()
    }
    for own, (folder, name) in found.items():
        path = start_file(folders[folder], name, options, own)
        state = folders[folder][name]
        if options.allow_partial:
            state = completed(state, checkpoint.network_state(networks[own]), own, path)
        checkpoint.load_weights(networks[own], state, path)
    for folder in folders if not options.allow_partial else ():
        alike = {own: networks[own] for own, start in found.items() if start == (folder, own)}
        file = Path(folder) / checkpoint.STATE_FILE
        if alike and file.is_file():
            checkpoint.load_optimizer(optimizer, alike, file)
        elif alike and (Path(folder) / RECORD_FILE).is_file():  # a checkpoint of ours, which had them once
            say(f"{folder}: weights without Adam's moments, which begin at zero; --keep_moments keeps them")
        elif alike and Path(folder).is_file():
            moments = kept_moments(Path(folder), folders[folder], options.method)
            if moments:
                checkpoint.restore_moments(optimizer, alike, moments, Path(folder))
