"""Prediction: images a second one by one and in batches, from arrays and from files, in float32 and bf16."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backends.torch.predictor import Predictor
from backends.torch.trainer import Trainer
from benchmarks import Row
from benchmarks.frames import images, make_frames, options_on
from benchmarks.setting import Setting
from core.files.images import load_image, resize, to_array

BATCHES = (1, 16)
COUNT = {False: 64, True: 4}  # images of a measurement; small or not
ROUNDS = {False: 5, True: 1}
PRECISIONS = ("32", "bf16")


def measure(setting: Setting) -> None:
    """Every combination beside the plain way: files one after the other, memory in its default layout, float32."""
    frames = make_frames(setting.output, setting.small)
    weights = make_weights(setting, frames)
    count = COUNT[setting.small]
    paths = (images(frames) * count)[:count]
    arrays = [to_array(load_image(path)) for path in paths]
    plain = Plain(Predictor(weights, str(setting.device)))
    predictors = {
        precision: Predictor(weights, str(setting.device), precision=precision) for precision in PRECISIONS
    }
    for source in ("arrays", "files"):
        for batch in BATCHES if not setting.small else BATCHES[-1:]:
            compare(setting, source, batch, plain, predictors, arrays if source == "arrays" else paths)


def make_weights(setting: Setting, frames: Path) -> Path:
    """A folder of fresh weights: their numbers do not matter to the speed."""
    trainer = Trainer(options_on(frames, setting.small), pretrained=False)
    folder = setting.output / "weights"
    trainer.save(folder)
    return folder


def compare(
    setting: Setting,
    source: str,
    batch: int,
    plain: "Plain",
    predictors: dict[str, Predictor],
    inputs: list[np.ndarray] | list[Path],
) -> None:
    """A row for each precision."""
    jobs: dict[str, Callable[[], np.ndarray]] = {"plain": lambda: plain.disparity(inputs)}
    for precision, predictor in predictors.items():
        jobs[precision] = lambda predictor=predictor: in_batches(predictor, inputs, batch)
    found = {name: job() for name, job in jobs.items()}
    seconds = setting.medians(dict(jobs), ROUNDS[setting.small], warm=0)
    rates = {name: len(inputs) / value for name, value in seconds.items()}
    for precision in predictors:
        name = f"prediction from {source}, batch {batch}, {'float32' if precision == '32' else precision}"
        difference = float(np.abs(found[precision] / found["plain"] - 1).max())
        setting.report.row(Row.of_rates(name, rates["plain"], rates[precision], "images/s", difference))


def in_batches(predictor: Predictor, inputs: list[np.ndarray] | list[Path], batch: int) -> np.ndarray:
    """Disparities as predict.py makes them."""
    parts = [inputs[first : first + batch] for first in range(0, len(inputs), batch)]
    return np.concatenate([predictor.disparity([loaded(one) for one in part]) for part in parts])


def loaded(source: np.ndarray | Path) -> np.ndarray:
    """The image itself, or that of a file."""
    return to_array(load_image(source)) if isinstance(source, Path) else source


class Plain:
    """The network in a few lines: one image after the other, memory in its default layout."""

    def __init__(self, predictor: Predictor) -> None:
        self.height, self.width, self.device = predictor.height, predictor.width, predictor.device
        self.method = predictor.method.to(memory_format=torch.contiguous_format)

    def disparity(self, inputs: list[np.ndarray] | list[Path]) -> np.ndarray:
        """(N, height, width)."""
        return np.concatenate([self.one(loaded(source)) for source in inputs])

    def one(self, image: np.ndarray) -> np.ndarray:
        """(1, height, width)."""
        small = np.asarray(resize(Image.fromarray(image), self.height, self.width), np.float32) / 255
        tensor = torch.from_numpy(small.transpose(2, 0, 1)[None].copy()).to(self.device)
        with torch.no_grad():
            return self.method.predict({"image": tensor})["disparity"][:, 0].cpu().numpy()
