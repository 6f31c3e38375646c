"""The training loop: read `run`, then `_train_step`."""

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backends.torch import checkpoint, geometry
from backends.torch.board import board_writer
from backends.torch.methods import METHODS
from backends.torch.networks.resnet import ResNetEncoder
from backends.torch.tensors import choose_device, device_name, seed_everything, to_array, to_batch
from core.checkpoint import weights_folder, write_folder_atomically
from core.datasets import open_dataset
from core.errors import UserError
from core.loader import batches, number_of_batches
from core.log import RunLog, is_log_step, loss_per_scale
from core.metrics import training_metrics
from core.options import Options
from core.parsing import save_options
from core.pictures import log_pictures
from core.sample import Sample
from core.schedule import learning_rate
from core.weights.pretrained import imagenet_state


def make_optimizer(groups: list[dict], learning_rate: float) -> torch.optim.Adam:
    """Adam as published: no weight decay, no clipping."""
    return torch.optim.Adam(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8)


class Trainer:
    """Trains a method as its options say.

    Args:
        options: of the method, validated.

    Raises:
        UserError: data, weights or device are not there.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = choose_device(options.device)
        self.train_set, self.val_set = open_dataset(options, "train"), open_dataset(options, "val")
        self.steps_per_epoch = number_of_batches(len(self.train_set), options.batch_size, drop_last=True)
        self.run_folder = Path(options.log_dir) / options.model_name
        seed_everything(options.seed)
        self.method = METHODS[options.method](options)
        self.networks = self.method.networks()
        self._initialise_encoders()
        # Channels last halves the time of a convolution on many devices and changes no number beyond rounding.
        self.method.to(self.device, memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.method.parameter_groups(), options.learning_rate)
        self._load_weights()

    def run(self) -> None:
        """Trains all epochs; writes a weights folder every `save_frequency` epochs and after the last.

        No epochs at all write the initial weights.
        """
        options = self.options
        total_steps = self.steps_per_epoch * options.num_epochs
        save_options(options, self.run_folder / "options.yaml")
        with RunLog(self.run_folder, total_steps, board_writer(self.run_folder)) as self.log:
            self.log.message(
                f"{options.method} on {device_name(self.device)}: {len(self.train_set)} training and "
                f"{len(self.val_set)} validation samples, {total_steps} steps in {options.num_epochs} epochs, "
                f"to {self.run_folder}"
            )
            if any((self.run_folder / "models").glob("weights_*")):
                self.log.message(
                    f"{self.run_folder}: weights of an earlier run lie here; equal epochs are replaced"
                )
            if options.num_epochs == 0:
                self.save("initial")
            self.validation = self._endless_validation()
            for epoch in range(options.num_epochs):
                self._train_epoch(epoch)
                if (epoch + 1) % options.save_frequency == 0 or epoch + 1 == options.num_epochs:
                    self.save(epoch)
            self.validation.close()

    def save(self, epoch: int | str) -> Path:
        """Writes `models/weights_<epoch>`, whole or not at all, and returns it."""
        options = self.options
        folder = weights_folder(self.run_folder, epoch)
        scalars = {"height": options.height, "width": options.width, "use_stereo": options.use_stereo}
        step = self.log.step

        def fill(temporary: Path) -> None:
            checkpoint.save_networks(self.networks, temporary, scalars)
            checkpoint.save_optimizer(self.optimizer, self.networks, temporary / checkpoint.STATE_FILE, step)
            save_options(options, temporary / "options.yaml")

        write_folder_atomically(folder, fill)
        self.log.message(f"epoch {epoch}: weights in {folder}")
        return folder

    def _initialise_encoders(self) -> None:
        """ImageNet weights for every ResNet, unless training starts from scratch or from a weights folder."""
        options = self.options
        for name, network in self.networks.items():
            loaded = options.load_weights_folder is not None and name in options.models_to_load
            if options.weights_init == "pretrained" and isinstance(network, ResNetEncoder) and not loaded:
                state = imagenet_state(options.num_layers, network.images)
                checkpoint.load_network_state(network, state, f"resnet{options.num_layers}_pretrain.h5")

    def _load_weights(self) -> None:
        """Weights of `--load_weights_folder`, and Adam's moments where the folder has them."""
        options = self.options
        if options.load_weights_folder is None:
            return
        folder = Path(options.load_weights_folder)
        names = [name for name in options.models_to_load if name in self.networks]
        if not names:
            raise UserError(
                f"--models_to_load {' '.join(options.models_to_load)}: this model has none of them, "
                f"but {', '.join(self.networks)}"
            )
        checkpoint.load_networks(self.networks, folder, names)
        if (folder / checkpoint.STATE_FILE).is_file():
            loaded = {name: self.networks[name] for name in names}
            checkpoint.load_optimizer(self.optimizer, loaded, folder / checkpoint.STATE_FILE)

    def _train_epoch(self, epoch: int) -> None:
        options = self.options
        loader = batches(
            self.train_set,
            epoch,
            options.batch_size,
            shuffle=True,
            seed=options.seed,
            num_workers=options.num_workers,
            drop_last=True,
        )
        with closing(loader):
            for number, arrays in enumerate(loader):
                step = epoch * self.steps_per_epoch + number
                self.method.train()
                values, maps, batch = self._train_step(step, arrays)
                self.log.advance(len(arrays["index"]), values["loss"])
                if is_log_step(step, number, options.log_frequency):
                    self.log.entry(epoch, number, values["loss"])
                    depth = self._known_depth(self.train_set, epoch, arrays)
                    self._log(step, "train", values, maps, batch, depth)
                    self._validate(step)

    def _train_step(
        self, step: int, arrays: Sample
    ) -> tuple[dict[str, float], dict[str, Tensor], dict[str, Tensor]]:
        options = self.options
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                step,
                self.steps_per_epoch,
                options.learning_rate,
                options.scheduler_step_size,
                decay_one_epoch_early=options.decay_one_epoch_early,
            )
        batch = to_batch(arrays, self.device)
        terms, maps = self.method.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        values = self._finite(step, {"loss": loss, **terms}, arrays, self.train_set)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return values, maps, batch

    def _finite(self, step: int, terms: dict[str, Tensor], arrays: Sample, dataset) -> dict[str, float]:
        """The terms as numbers.

        Raises:
            UserError: one is not finite; names it and the samples.
        """
        values = dict(
            zip(
                terms, to_array(torch.stack([term.detach() for term in terms.values()])).tolist(), strict=True
            )
        )
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            samples = ", ".join(dataset.describe(int(index)) for index in arrays["index"])
            raise UserError(
                f"step {step}: the loss is not finite ({', '.join(f'{name} {values[name]}' for name in bad)}) for "
                f"{samples}; lower --learning_rate or look at these images; {self.run_folder} keeps earlier weights"
            )
        return values

    def _endless_validation(self) -> Iterator[tuple[int, Sample]]:
        """Validation batches with their epoch, shuffled, for ever."""
        options, epoch = self.options, 0
        while True:
            loader = batches(
                self.val_set,
                epoch,
                min(options.batch_size, len(self.val_set)),
                shuffle=True,
                seed=options.seed,
                num_workers=0,
                drop_last=True,
            )
            for arrays in loader:
                yield epoch, arrays
            epoch += 1

    def _validate(self, step: int) -> None:
        """One validation batch, in evaluation mode."""
        epoch, arrays = next(self.validation)
        self.method.eval()
        with torch.no_grad():
            batch = to_batch(arrays, self.device)
            terms, maps = self.method.losses(batch)
            loss = torch.stack(list(terms.values())).sum()
        values = self._finite(step, {"loss": loss, **terms}, arrays, self.val_set)
        self._log(step, "val", values, maps, batch, self._known_depth(self.val_set, epoch, arrays))

    def _known_depth(self, dataset, epoch: int, arrays: Sample) -> np.ndarray | None:
        """Depth of a batch from its scans, (B, 1, 375, 1242) metres, or None without scans."""
        depths = [dataset.depth((epoch, int(index))) for index in arrays["index"]]
        return None if depths[0] is None else np.stack(depths)

    def _log(
        self,
        step: int,
        part: str,
        values: dict[str, float],
        maps: dict[str, Tensor],
        batch: dict[str, Tensor],
        known_depth: np.ndarray | None,
    ) -> None:
        options = self.options
        if known_depth is not None and "sigmoid_0" in maps:
            _, depth = geometry.sigmoid_to_depth(maps["sigmoid_0"], options.min_depth, options.max_depth)
            values = values | (training_metrics(to_array(depth), known_depth) or {})
        values = values | loss_per_scale(values)
        self.log.scalars(step, part, values)
        if self.log.writer is not None:
            arrays = {name: to_array(tensor) for name, tensor in (batch | maps).items()}
            self.log.images(step, part, log_pictures(arrays))
