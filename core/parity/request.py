"""What both backends are given: options, a batch, and recipes for weights, noise and cotangents.

Everything random is a function of the seed and a name, so two processes draw the same without talking.
"""

import dataclasses
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.datasets.extras import EXTRAS
from core.datasets.ground_truth import SparseDepth
from core.datasets.sample import Frame, Sample, augmented_key, collate, image_key, motion_key
from core.disparity import resize_map
from core.errors import UserError
from core.files.images import resize_array
from core.geometry import nominal_intrinsics, rigid, stereo_transform
from core.options import OPTIONS, Options, ParityOptions
from core.weights.folder import Folder, model_options
from core.weights.zoo import resolve_weights

CELLS = (4, 8, 16, 32)  # sides of the texture's squares, pixels: something to match at every scale
MARGIN = 16  # pixels of texture beyond the image's sides, for the views that look there
SHIFT = 2  # pixels by which a frame's view is moved per unit of time
PROGRESS = 0.5  # of the training that a step is taken from
STEREO_SHIFT = 5  # pixels, for the other camera


@dataclass
class Request:
    """One question to both backends.

    Attributes:
        options: of the method; its `load_weights_folder` (None: weights are made) and `seed` count here.
        batch: a collated sample, see `core/datasets/sample.py`.
        steps: training steps to take.
    """

    options: Options
    batch: Sample
    steps: int

    @classmethod
    def make(cls, options: Options, steps: int) -> "Request":
        """The request of these options, with a made-up batch."""
        batch = collate([_sample(options, number) for number in range(options.batch_size)])
        return cls(options, batch, steps)

    def save(self, path: Path) -> None:
        """Writes an `.npz` without pickles."""
        options = np.array(json.dumps(dataclasses.asdict(self.options)))
        arrays: dict[str, Any] = self.batch | {"options": options, "steps": np.array(self.steps)}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Request":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            batch = {name: file[name] for name in file.files}
        record = json.loads(str(batch.pop("options")))
        options = OPTIONS[record["method"]](**record)
        return cls(options, batch, int(batch.pop("steps")))

    def weights(self, network: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Weights by official name and shape; of a size that lets every layer matter.

        Args:
            network: name of its file, such as `encoder`.
            shapes: `{official name: shape}`; PyTorch's counters of batches are left out.
        """
        made = {}
        for name, shape in shapes.items():
            if not name.endswith("num_batches_tracked"):
                generator = self._generator(f"weights/{network}/{name}")
                made[name] = generator.uniform(*_weight_range(name, shapes), shape).astype(np.float32)
        return made

    def draw(self, name: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
        """Random numbers in place of what a method draws itself, float64: normal, or uniform in [0, 1)."""
        generator = self._generator(name)
        return generator.standard_normal(shape) if kind == "normal" else generator.random(shape)

    def ground_truth(self) -> list[SparseDepth]:
        """Made-up depth for every sample: 3 to 60 metres at 3 of 10 pixels, at twice the size of the input."""
        height, width = 2 * self.options.height, 2 * self.options.width
        maps = []
        for number in range(self.options.batch_size):
            depth = _sparse(self._generator(f"depth/{number}"), height, width)[0]
            maps.append(SparseDepth.from_dense(depth, f"parity {number} l"))
        return maps

    def cotangent(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform in (-1, 1), float64: weights of an output in the smooth objective."""
        return self._generator(f"cotangent/{name}").uniform(-1, 1, shape)

    def _generator(self, name: str) -> np.random.Generator:
        return _generator(self.options.seed, name)


def requested_options(options: ParityOptions) -> Options:
    """The method's options: those given, else those of the weights' folder, else the method's defaults.

    Raises:
        UserError: the folder's files are missing, damaged, of another method, or contradict an option; a value is
            impossible.
    """
    method = OPTIONS[options.method]
    given = {name: value for name in method.MODEL if (value := getattr(options, name)) is not None}
    fixed: dict[str, Any] = {
        name: getattr(options, name) for name in ("height", "width", "batch_size", "seed")
    }
    if options.load_weights_folder is None:
        model = method(**given)
    else:
        folder = resolve_weights(options.load_weights_folder).resolve()
        files = Folder(folder)
        files.paths(())  # whether it is a folder at all
        model = model_options(folder, dict(files), given)
        if type(model) is not method:
            raise UserError(f"{folder}: is a model of {model.method}, not of --method {options.method}")
        fixed["load_weights_folder"] = str(folder)
    kept = {name: getattr(model, name) for name in method.MODEL}
    complete = method(**kept, **fixed, device="cpu")
    complete.validate()
    return complete


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _weight_range(name: str, shapes: dict[str, tuple[int, ...]]) -> tuple[float, float]:
    """Bounds of the uniform distribution of one tensor."""
    layer, _, kind = name.rpartition(".")
    if kind == "running_var":
        return 1.0, 3.0
    if kind in ("running_mean", "bias"):
        return -0.1, 0.1
    if f"{layer}.running_mean" in shapes:
        # Small at the end of a residual block: rounding is not amplified from block to block (Goyal et al. 2017).
        return (0.15, 0.3) if _ends_residual_block(layer, shapes) else (0.5, 1.0)
    if len(shapes[name]) == 1:  # of another normalisation
        return 0.5, 1.0
    bound = math.sqrt(6 / math.prod(shapes[name][1:]))  # keeps the size of activations (He et al. 2015)
    if "_pointwise." in name:  # a chain of them, each added to what came before: small as above
        bound /= 10
    return -bound, bound


def _ends_residual_block(layer: str, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether it is the last `bn…` of several in a block, as torchvision names them."""
    block, name, number = layer.rpartition("bn")
    return name == "bn" and number > "1" and f"{block}bn{int(number) + 1}.weight" not in shapes


def _sample(options: Options, number: int) -> Sample:
    """One sample: a texture that every frame sees from another place, with noise; colours changed where augmented."""
    height, width, needs = options.height, options.width, options.needs("train")
    in_bytes = options.preparation("train").filter != "float_bilinear"
    texture = _texture(_generator(options.seed, f"texture/{number}"), height, width + 2 * MARGIN)
    sample: Sample = {}
    for frame in needs.frames:
        generator = _generator(options.seed, f"frame/{number}/{frame}")
        left = MARGIN + (STEREO_SHIFT if frame == "s" else SHIFT * int(frame)) % MARGIN
        view = texture[:, left : left + width] + generator.uniform(-0.02, 0.02, (height, width, 3))
        images = _pyramid(frame, _to_bytes(view)) if needs.plain else {}
        if needs.augmented and (frame == 0 or needs.augmented_sources):
            images[augmented_key(frame)] = _to_bytes(0.9 * view + 0.03)
        sample |= images if in_bytes else {key: image / np.float32(255) for key, image in images.items()}
    if needs.intrinsics:
        sample["K"] = nominal_intrinsics(height, width)
    if needs.side:
        sample["side"] = np.array((-1, 1)[number % 2], np.int64)
    if "s" in needs.frames:
        sample["T_stereo"] = stereo_transform("lr"[number % 2], mirrored=False)
    if needs.motion:
        for frame in (int(source) for source in needs.sources if source != "s"):
            generator = _generator(options.seed, f"motion/{number}/{frame}")
            T = rigid(generator.uniform(-0.02, 0.02, 3), np.array([0, 0, -0.2 * frame]))
            sample[motion_key(frame)] = T.astype(np.float32)
    depths = {"depth": needs.depth, "input_depth": any(one.input_depth for one in options.listings("train"))}
    for name in (name for name, is_needed in depths.items() if is_needed):
        sample[name] = _sparse(_generator(options.seed, f"{name}/{number}"), height, width)
    for name in needs.extras:
        made = EXTRAS[name].make_up(_generator(options.seed, f"{name}/{number}"), height, width)
        sample[name] = made.astype(np.float32)
    return sample


def _sparse(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Depth at 3 of 10 pixels, 3 to 60 metres, elsewhere 0: float32 (1, height, width)."""
    depth = 3 * 20 ** _texture(generator, height, width)[:, :, 0]
    return np.where(generator.random((height, width)) < 0.3, depth, 0).astype(np.float32)[None]


def _texture(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth colours of several sizes, (height, width, 3) float64 in [0, 1]."""
    layers = []
    for cell in CELLS:
        grid = generator.random((3, height // cell + 2, width // cell + 2))
        layers.append(np.stack([resize_map(channel, height, width) for channel in grid], axis=2))
    return np.mean(layers, axis=0)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _pyramid(frame: Frame, image: np.ndarray) -> Sample:
    """Every scale that any option asks for."""
    height, width = image.shape[:2]
    return {
        image_key(frame, scale): resize_array(image, height >> scale, width >> scale) for scale in range(4)
    }
