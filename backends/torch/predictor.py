"""From a weights folder to arrays."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backends.torch import checkpoint
from backends.torch.methods import make_method
from backends.torch.tensors import (
    autocast,
    check_precision,
    choose_device,
    to_array,
    to_image,
    to_tensor,
    use_channels_last,
    widen,
)
from core.datasets.preparation import network_images
from core.disparity import blend_mirrored
from core.errors import UserError
from core.evaluation.comparison import z_disparity
from core.files.arrays import require_finite
from core.odometry.windows import PoseWindows
from core.weights.families.base import numbers_in
from core.weights.folder import Folder, model_options, require_agreement
from core.weights.zoo import resolve_weights

IMAGE = "image"  # the input that every method takes
NOT_FINITE = (
    "the weights are damaged or do not fit their options; take others, such as those of an earlier epoch"
)


class Predictor:
    """A trained model: `Predictor(folder).disparity(images)`, `Predictor(folder).poses(images)`.

    Args:
        folder: weights folder, of this project, trained with either backend, or an official release; or the file of
            one that keeps all its networks together; a run; or the name of a release: see `resolve_weights`.
        device: auto, cpu, cuda or cuda:N.
        untold: height and width, where the files do not say them; None leaves what they say, or the defaults.
        preferred: options that replace those the folder was trained with, where the method has them.
        overrides: options that replace those the folder was trained with (`num_layers`, `min_depth`, `max_depth`,
            those that the method's `PREDICTION` names); None leaves them.
        precision: bits of the depth networks' numbers, 32, bf16 or, on a GPU, 16; disparity is float32, motion has 32.

    Raises:
        UserError: the folder lacks a file, a file is damaged, or of another network; the method has no such option, or
            predicts no depth; the device does not compute in this precision.
    """

    def __init__(
        self,
        folder: Path | str,
        device: str = "auto",
        untold: Mapping[str, Any] | None = None,
        preferred: Mapping[str, Any] | None = None,
        precision: str = "32",
        **overrides: Any,
    ) -> None:
        self.device = choose_device(device)
        check_precision(precision, self.device)
        self.precision = precision
        self.folder = resolve_weights(folder)
        files = Folder(self.folder, checkpoint.EXTENSION)
        files.paths(())  # whether it is a folder at all
        self.options = model_options(self.folder, files, overrides, untold, preferred)
        self.height, self.width = self.options.height, self.options.width
        self.preparation = self.options.preparation("val")
        self.method = make_method(self.options)
        if not self.method.depth_networks:
            raise UserError(f"{self.folder}: a model of {self.options.method} that predicts no depth")
        self._load(self.method.depth_networks, files, overrides)
        self.method.complete({name: numbers_in(files[name]) for name in self.method.depth_networks})
        use_channels_last(self.method.to(self.device).eval())
        self._poses_loaded, self.has_rays = False, self.method.has_rays

    def disparity(
        self,
        images: Sequence[np.ndarray],
        post_process: bool = False,
        inputs: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Predicts 1 / depth.

        Args:
            images: uint8 (h, w, 3) RGB, any sizes, images of Pillow or names of files, or one of them; resized as in
                training. Or what is prepared already: see `core.datasets.preparation.network_images`.
            post_process: blend with the prediction of the mirrored image.
            inputs: what the method takes beside images, by the names of `method.inputs`, such as
                `{"input_depth": …}`; float32 (N, channels, height, width) at the network's size.

        Returns:
            (N, height, width) at the network's size; float32, float64 when post-processed. In 1 / metres up to the
            model's scale; for models trained with stereo, metres = `options.metres_per_unit` / disparity.

        Raises:
            UserError: an input is missing, or is none of the method's.
        """
        if post_process:
            return self.disparity_pair(images, inputs)[1]
        given = self._checked_inputs(inputs)
        return self._forward(network_images(images, self.preparation), given)

    def disparity_pair(
        self, images: Sequence[np.ndarray], inputs: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `disparity` predicts without and with `post_process`, by two passes of the network instead of three.

        Raises:
            UserError: an input is missing, or is none of the method's.
        """
        given = self._checked_inputs(inputs)
        mirrored = {name: array[:, :, :, ::-1] for name, array in given.items()}
        batch = network_images(images, self.preparation)
        disparity = self._forward(batch, given)
        return disparity, blend_mirrored(disparity, self._forward(batch[:, :, ::-1], mirrored)[:, :, ::-1])

    def predictions(
        self,
        images: Sequence[np.ndarray],
        post_process: bool = False,
        inputs: Mapping[str, np.ndarray] | None = None,
    ) -> list[dict[str, np.ndarray]]:
        """All that is predicted of each image, see `disparity`.

        Returns:
            `disparity` (height, width), 1 / depth. Where the model `has_rays`, 1 / range along `rays`, unit vectors
            (3, height, width), and perhaps `valid` (height, width), False where the camera sees nothing.
        """
        if not self.has_rays:
            return [{"disparity": disparity} for disparity in self.disparity(images, post_process, inputs)]
        given = self._checked_inputs(inputs)
        batch = network_images(images, self.preparation)
        found = self._predicted(batch, given)
        disparity = found["disparity"][:, 0]
        if post_process:
            flipped = {name: array[:, :, :, ::-1] for name, array in given.items()}
            mirrored = self._predicted(batch[:, :, ::-1], flipped)["disparity"][:, 0, :, ::-1]
            disparity = blend_mirrored(disparity, mirrored)
        maps = {"disparity": require_finite(disparity, f"{self.folder}: disparity", NOT_FINITE)}
        maps["rays"] = require_finite(found["rays"], f"{self.folder}: rays", NOT_FINITE)
        if "valid" in found:
            maps["valid"] = found["valid"][:, 0] > 0
        return [{name: of_all[number] for name, of_all in maps.items()} for number in range(len(batch))]

    def pose_frames(self) -> list[int]:
        """Offsets in time of the images that the pose network sees at once, the target 0 first.

        Raises:
            UserError: the model has no pose network, or its files are missing or damaged.
        """
        frames = self.method.pose_frames()
        if not self._poses_loaded:  # late, because folders without them predict depth as well
            names = [name for name in self.method.pose_networks if name not in self.method.depth_networks]
            self._load(names, Folder(self.folder, checkpoint.EXTENSION), {})
            self._poses_loaded = True
        return frames

    def poses(self, images: Sequence[np.ndarray], batch_size: int = 16) -> np.ndarray:
        """Predicts the camera's motion from each image of a video to the next.

        Args:
            images: uint8 (h, w, 3) RGB in the order of time, any sizes; resized to the network's.
            batch_size: windows per pass.

        Returns:
            T_next_current (N − 1, 4, 4) float32: maps points of camera t to camera t + 1. Its translation is in the
            unit of the model's depth: arbitrary for training on video alone, else `options.metres_per_unit` metres.
            `core.odometry.trajectories.chain` makes a path of it.

        Raises:
            UserError: the model has no pose network, its files are missing, or the images are too few.
        """
        windows = PoseWindows.plan(self.pose_frames(), len(images))
        resized = network_images(images, self.preparation)
        parts = [windows.images[i : i + batch_size] for i in range(0, len(windows.images), batch_size)]
        T_sources_target = [self.T_sources_target(list(resized[part.T])) for part in parts]
        return windows.T_next_current(np.concatenate(T_sources_target))

    def T_sources_target(self, images: Sequence[np.ndarray]) -> np.ndarray:  # noqa: N802 (a transform's name)
        """One image array, prepared (B, height, width, 3), for each of `pose_frames()` → float32 (B, sources, 4, 4)."""
        assert len(images) == len(self.pose_frames())
        with torch.no_grad():
            found = self.method.T_sources_target([to_image(image, self.device) for image in images])
        T = np.stack([to_array(T) for T in found], axis=1)
        return require_finite(T, f"{self.folder}: motion", NOT_FINITE)

    def _load(self, names: Iterable[str], files: Folder, overrides: Mapping[str, Any]) -> None:
        """Fills networks from their files, once it is known that all are there and contradict no option."""
        networks = self.method.networks()
        paths = files.paths(names)
        states = {name: files[name] for name in paths}
        require_agreement(files, self.options.method, overrides)
        for name, path in paths.items():
            checkpoint.load_weights(networks[name], states[name], path)

    def _checked_inputs(self, inputs: Mapping[str, np.ndarray] | None) -> Mapping[str, np.ndarray]:
        inputs = inputs or {}
        known = {name: one.required for name, one in self.method.inputs.items() if name != IMAGE}
        wrong = [name for name in inputs if name not in known]
        wrong += [name for name, required in known.items() if required and name not in inputs]
        if wrong:
            takes = ", ".join([IMAGE, *known])
            raise UserError(
                f"{self.folder}: inputs {', '.join(wrong)}: a model of {self.options.method} takes {takes}"
            )
        return inputs

    def _forward(self, images: np.ndarray, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Prepared images (N, height, width, 3) and further inputs → 1 / z (N, height, width)."""
        predicted = self._predicted(images, inputs)
        disparity = predicted["disparity"]
        if "rays" in predicted:
            disparity = z_disparity(disparity, predicted["rays"])
        return require_finite(disparity[:, 0], f"{self.folder}: disparity", NOT_FINITE)

    def _predicted(self, images: np.ndarray, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Prepared images (N, height, width, 3) and further inputs → what the method predicts."""
        given = {name: to_tensor(array, self.device) for name, array in inputs.items()}
        given[IMAGE] = to_image(images, self.device)
        with torch.no_grad(), autocast(self.precision, self.device):
            found = self.method.predict(given)
        return {name: to_array(widen(tensor)) for name, tensor in found.items()}
