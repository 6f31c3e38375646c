"""Losses and depth metrics of the validation list, in evaluation mode."""

from collections.abc import Callable
from contextlib import closing

import numpy as np
import paddle
from paddle import Tensor

from backends.paddle.methods.base import Losses, Method
from backends.paddle.tensors import to_array, to_batch, to_numbers
from core.datasets.loader import batches, number_of_batches
from core.datasets.sample import Sample, Truth
from core.disparity import blend_mirrored
from core.evaluation.comparison import z_disparity
from core.options import Options
from core.training.validation import (
    AnyDataset,
    Means,
    WithTruths,
    batch_metrics,
    check_finite,
    image_metrics,
    lists_of,
)

Numbers = dict[str, float]
Tensors = dict[str, Tensor]


class Validation:
    """Runs a method on its validation samples; what it does changes nothing about the training.

    Args:
        options: of the run.
        method: whose weights are validated as they are.
        device: where they are.
        dataset: the samples, of one list or of several.
    """

    def __init__(
        self,
        options: Options,
        method: Method,
        device: paddle.CPUPlace | paddle.CUDAPlace,
        dataset: AnyDataset,
    ) -> None:
        self.options, self.method, self.device = options, method, device
        self.lists = lists_of(options, dataset)
        self.dataset = self.lists[""]
        self.batch_size = min(options.batch_size, len(self.dataset))

    def one_batch(self, step: int) -> tuple[Numbers, Tensors, Tensors, list[Truth | None]]:
        """The batch for a step of the training, shuffled: terms, maps, tensors, and true depth where it is known.

        Raises:
            NotFiniteError: the loss is not finite.
        """
        per_epoch = number_of_batches(len(self.dataset), self.batch_size, drop_last=True)
        epoch, number = divmod(step, per_epoch)
        samples = WithTruths(self.dataset)
        loader = batches(
            samples,
            epoch,
            self.batch_size,
            shuffle=True,
            seed=self.options.seed,
            num_workers=0,
            drop_last=True,
            first=number,
        )
        arrays = next(loader)
        truths = samples.take(arrays)
        return *self._evaluate(arrays, self.dataset, truths), truths

    def everything(self, goes_on: Callable[[], bool]) -> Numbers:
        """Means over the whole list: of all terms by sample, of depth metrics by image with ground truth.

        Of several lists the numbers of the first, and those of the others with the name of their list in front.

        Args:
            goes_on: asked after every batch; False ends it early, with means of what was done.

        Raises:
            NotFiniteError: the loss is not finite.
        """
        values: Numbers = {}
        for name, dataset in self.lists.items():
            means = Means()
            ended = not self._add_all(means, dataset, goes_on)
            values |= {name + key: value for key, value in means.values().items()}
            if ended:
                break
        return values

    def _add_all(self, means: Means, dataset: AnyDataset, goes_on: Callable[[], bool]) -> bool:
        """Adds every batch of a list; returns whether it came to the end."""
        samples = WithTruths(dataset)
        loader = batches(
            samples,
            epoch=0,
            batch_size=min(self.options.batch_size, len(dataset)),
            shuffle=False,
            seed=self.options.seed,
            num_workers=self.options.num_workers,
            drop_last=False,
        )
        with closing(loader):
            for arrays in loader:
                truths = samples.take(arrays)
                values, maps, batch = self._evaluate(arrays, dataset, truths)
                means.add(values, len(arrays["index"]))
                if any(truths) and self.method.depth_networks:
                    for metrics in image_metrics(self.options, self._measured(maps, batch), truths):
                        means.add(metrics)
                if not goes_on():
                    return False
        return True

    def _evaluate(
        self, arrays: Sample, dataset: AnyDataset, truths: list[Truth | None]
    ) -> tuple[Numbers, Tensors, Tensors]:
        self.method.eval()
        with paddle.no_grad():
            batch = to_batch(arrays, self.device)
            if self.method.depth_networks and not self.options.needs("val").sources:
                return {}, self._predict(batch), batch
            losses = self.method.losses(batch)
            maps = losses.maps
            if any(truths) and self.method.depth_networks and "disparity" not in maps:
                maps = maps | self._predict(batch)
        return finite_numbers(losses, arrays, dataset), maps, batch

    def _measured(self, maps: Tensors, batch: Tensors) -> np.ndarray:
        """The disparity (B, 1, h, w) whose depth is measured: the prediction, or with that of the mirrored image."""
        disparity = predicted_disparity(maps)
        if not self.options.blended_validation:
            return disparity
        inputs = self.method.inputs_of(batch)
        mirrored = {name: paddle.flip(tensor, [-1]) for name, tensor in inputs.items()}
        with paddle.no_grad():
            second = predicted_disparity(self.method.predict(mirrored))
        return blend_mirrored(disparity, second[..., ::-1])

    def _predict(self, batch: Tensors) -> Tensors:
        """The prediction for the targets."""
        return self.method.predict(self.method.inputs_of(batch))


def finite_numbers(losses: Losses, arrays: Sample, dataset: AnyDataset) -> Numbers:
    """The loss and its terms as numbers.

    Raises:
        NotFiniteError: one is not finite; names it and the samples.
    """
    values = to_numbers({"loss": losses.loss, **losses.terms})
    check_finite(values, arrays, dataset)
    return values


def predicted_disparity(maps: Tensors) -> np.ndarray:
    """1 / z (B, 1, h, w), from the maps of `Method.losses` or the result of `Method.predict`."""
    disparity = to_array(maps["disparity"])
    return z_disparity(disparity, to_array(maps["rays"])) if "rays" in maps else disparity


def log_values(options: Options, values: Numbers, maps: Tensors, truths: list[Truth | None]) -> Numbers:
    """The terms of a batch, what follows from them, and depth metrics where depth is known, (B, 1, H, W)."""
    if any(truths) and "disparity" in maps:
        values = values | (batch_metrics(options, predicted_disparity(maps), truths) or {})
    return values | options.derived(values)


def sigmoid_ranges(maps: Tensors) -> dict[str, tuple[float, float]]:
    """Smallest and largest sigmoid of a batch, by scale."""
    sigmoids = {
        name.removeprefix("sigmoid_"): tensor for name, tensor in maps.items() if name.startswith("sigmoid_")
    }
    return {scale: (tensor.min().item(), tensor.max().item()) for scale, tensor in sigmoids.items()}
