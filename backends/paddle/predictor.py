"""From a weights folder to arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from backends.paddle import checkpoint
from backends.paddle.methods import METHODS
from backends.paddle.tensors import choose_device, to_array, to_image
from core.checkpoint import find_weights
from core.disparity import blend_mirrored
from core.images import resize_array
from core.weights.folder import model_options


class Predictor:
    """A trained depth network: `Predictor(folder).disparity(images)`.

    Args:
        folder: weights folder, of this project, trained with either backend, or an official release.
        device: auto, cpu, cuda or cuda:N.
        overrides: options that replace those the folder was trained with (`num_layers`, `min_depth`, `max_depth`);
            None leaves them.

    Raises:
        UserError: the folder lacks a file, a file is damaged, or of another network.
    """

    def __init__(self, folder: Path | str, device: str = "auto", **overrides: Any) -> None:
        self.device = choose_device(device)
        names = ["encoder", "depth"]
        files = find_weights(Path(folder), names, checkpoint.EXTENSION)
        states = {name: checkpoint.read_weights(path) for name, path in files.items()}
        self.options = model_options(Path(folder), states["encoder"], overrides)
        self.height, self.width = self.options.height, self.options.width
        self.method = METHODS[self.options.method](self.options)
        for name in names:
            checkpoint.load_weights(self.method.networks()[name], states[name], files[name])
        self.method.eval()

    def disparity(self, images: Sequence[np.ndarray], post_process: bool = False) -> np.ndarray:
        """Predicts 1 / depth.

        Args:
            images: uint8 (h, w, 3) RGB, any sizes; resized to the network's.
            post_process: blend with the prediction of the mirrored image.

        Returns:
            (N, height, width) at the network's size; float32, float64 when post-processed. In 1 / metres up to the
            model's scale; for models trained with stereo on KITTI, metres = 5.4 / disparity.
        """
        batch = np.stack([resize_array(image, self.height, self.width) for image in images])
        disparity = self._forward(batch)
        if not post_process:
            return disparity
        return blend_mirrored(disparity, self._forward(batch[:, :, ::-1])[:, :, ::-1])

    def _forward(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, height, width, 3) → disparity (N, height, width)."""
        with paddle.no_grad():
            return to_array(self.method.disparity(to_image(images, self.device)))[:, 0]
