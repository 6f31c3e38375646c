"""The training loop: read `run`, then `_train_epoch`, then `train_step`."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from backends.torch import checkpoint, distributed
from backends.torch.board import board_writer
from backends.torch.methods import make_method
from backends.torch.start import initialise_encoders, load_start
from backends.torch.tensors import (
    check_precision,
    choose_device,
    device_name,
    draw_on,
    order_additions,
    seed_everything,
    to_array,
    to_batch,
    use_channels_last,
)
from backends.torch.validation import Numbers, Tensors, Validation, finite_numbers, log_values, sigmoid_ranges
from core.datasets import open_dataset, with_baseline
from core.datasets.loader import batches, number_of_batches
from core.datasets.sample import Sample, Truth
from core.errors import UserError
from core.files.whole import weights_folder, write_folder_atomically
from core.options import Options
from core.options.parsing import save_options
from core.options.schedule import step_seed
from core.training import resume
from core.training.boards import with_wandb
from core.training.claim import Claim, make_room
from core.training.collapse import CollapseGuard
from core.training.interruption import Interruption
from core.training.log import RunLog, is_log_step
from core.training.loss_scale import LossScale
from core.training.moments import remove_moments
from core.training.pictures import log_pictures
from core.training.resume import Checkpoint, Run
from core.training.space import checkpoint_bytes, space_needed
from core.training.store import Store
from core.training.validation import (
    Means,
    NotFiniteError,
    describe,
    gradients_lost,
    is_better,
    known_truths,
    require_weights,
)

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def make_optimizer(groups: list[dict], learning_rate: float, kind: str = "adam") -> torch.optim.Adam:
    """Adam as published; groups may have a `weight_decay`, which adamw keeps apart from the gradients."""
    settings = {"lr": learning_rate, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    # One kernel for all of an update: 3 % less of a step than a loop over parameters on a CPU.
    return OPTIMIZERS[kind](groups, fused=True, **settings)


def set_rates(optimizer: torch.optim.Adam, rates: list[float]) -> None:
    """Sets the learning rate of each parameter group."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def clip_gradients(gradients: list[Tensor], largest: float) -> None:
    """Scales gradients so that the norm of all of them together is at most `largest`."""
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient *= factor


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers of some tensors are finite: then, hardly ever but then, their sum is.

    One pass without a copy: a percent of a small step on a CPU, and on a GPU behind the backward pass.
    """
    total = torch.stack([tensor.sum() for tensor in tensors]).sum()
    return bool(total.isfinite()) or all(bool(tensor.isfinite().all()) for tensor in tensors)


class Trainer:
    """Trains a method as its options say.

    What is random in a step is a function of the seed and the step: a run continued from a checkpoint ends with the
    bits of one that was never interrupted (on a CPU, with the same number of threads).

    Args:
        options: of the method, validated.
        pretrained: ImageNet's weights where the options ask for them; False leaves random ones, for a dry run.

    Raises:
        UserError: data, weights or device are not there, or there is no such run to resume.
    """

    def __init__(self, options: Options, pretrained: bool = True) -> None:
        self.continues, self.overwrites = options.resume, options.overwrite
        options = replace(options, resume=False, overwrite=False)
        self.processes = distributed.find_processes()
        self.processes.check_device(options.device)
        self.device = choose_device(options.device, self.processes.local_rank)
        check_precision(options.precision, self.device)
        if options.deterministic:
            order_additions(self.device)
        self.train_set = open_dataset(options, "train")
        self.options = options = with_baseline(options, self.train_set)  # as files keep them
        self.val_set = open_dataset(options, "val")
        self.step_size = options.batch_size * options.accumulate_steps * self.processes.count
        self.order = options.order()
        self.steps_per_epoch = self.order.steps or number_of_batches(
            len(self.train_set), self.step_size, drop_last=True
        )
        if self.steps_per_epoch == 0:
            raise UserError(
                f"{len(self.train_set)} training samples do not fill one step of {self.step_size}; "
                "lower --batch_size or --accumulate_steps"
            )
        self.run_folder = Path(options.log_dir) / options.model_name
        environment = f"torch {torch.__version__}, {device_name(self.device)}"
        lists = self.train_set.lines, self.val_set.lines
        self.record = Run.begin(options, *lists, self.processes.count, environment)
        self.start: Checkpoint | None = None  # where a resumed run continues
        self.notes: list[str] = []
        self.claim = Claim(self.run_folder, self.processes.is_first)
        if self.continues:
            defaults = asdict(type(options)())
            self.record, self.start, self.notes = self.claim.find_run(self.record, defaults)
        started, first = self.record.started, self.processes.is_first
        self.store = Store(options, self.run_folder, started, self.overwrites, first)
        self._build(pretrained)
        self.validation = Validation(options, self.method, self.device, self.val_set)
        self.log, self.guard = RunLog(None, 0), CollapseGuard(options.COLLAPSE_CURE)
        self.interruption, self.stopping, self.spent = Interruption(), False, False

    def run(self) -> None:
        """Trains all epochs; writes a weights folder every `save_frequency` epochs and after the last.

        It ends early, with a checkpoint and its validation, where `max_cpu_seconds` are used up.

        No epochs at all write the initial weights.

        Raises:
            Interrupted: by Ctrl-C or `kill`; a checkpoint was written.
            UserError: the loss is not finite, or something cannot be written.
        """
        done = self.options.start_epoch * self.steps_per_epoch
        first_step = self.start.step if self.start else done
        distributed.connect(self.processes, self.device, self.networks)
        with self.interruption, self.claim, self.store, self._open_log(first_step) as self.log:
            if self.options.num_epochs == 0:
                self.save(weights_folder(self.run_folder, "initial"))
            try:
                if self.start and self.start.ends_epoch:
                    self.method.progress = (first_step // self.steps_per_epoch - 1) / self.options.num_epochs
                    self._validate_all()  # the run may have been killed before it could
                for epoch in range(first_step // self.steps_per_epoch, self.options.num_epochs):
                    self.method.progress = epoch / self.options.num_epochs
                    self._train_epoch(epoch, first=max(0, first_step - epoch * self.steps_per_epoch))
                    self._end_epoch(epoch)
                    if self.spent:
                        break
            except NotFiniteError as error:
                rank = "" if self.processes.is_first else f"_rank{self.processes.rank}"
                folder = self.run_folder / f"nonfinite_step_{self.log.step}{rank}"
                self.save(folder, batch=error.batch)
                message = f"step {self.log.step}: {error}; batch and weights are kept in {folder}"
                raise UserError(message) from None
        distributed.disconnect()

    def dry_run(self) -> Numbers:
        """The loss of the first step and its terms, as `run` would begin; writes nothing."""
        with closing(self._batches(epoch=0)) as loader:
            return self.train_step(0, islice(loader, self.options.accumulate_steps))[0]

    def save(
        self,
        folder: Path,
        values: dict[str, float] | None = None,
        batch: Sample | None = None,
        moments: bool = True,
    ) -> None:
        """Writes a checkpoint, whole or not at all; only the first process does.

        Args:
            folder: of the weights.
            values: of the validation, where one has been done.
            moments: with Adam's, without which no run goes on from it.
            batch: that led to an error, to be kept as `batch.npz`, by whichever process met it.
        """
        if not (self.processes.is_first or batch is not None):
            return
        options, step = self.options, self.log.step
        if batch is None:
            states = {name: checkpoint.network_state(network) for name, network in self.networks.items()}
            require_weights(states, step, folder)
        loss_scale = self.loss_scale.state() if self.loss_scale else []

        def fill(temporary: Path) -> None:
            checkpoint.save_networks(self.networks, temporary, self.method.scalars())
            if moments:
                state = temporary / checkpoint.STATE_FILE
                checkpoint.save_optimizer(self.optimizer, self.networks, state, step)
            save_options(options, temporary / "options.yaml")
            if batch is not None:
                np.savez(temporary / "batch.npz", **batch)
            Checkpoint(temporary, self.record.started, step, values or {}, loss_scale).seal()

        write_folder_atomically(folder, fill, self._checkpoint_size(moments))
        self.log.message(f"step {step}: weights in {folder}")
        self.store.saved(folder)

    def _build(self, pretrained: bool) -> None:
        """Networks and optimiser, with the numbers of the checkpoint to continue from, or those of a new run."""
        options = self.options
        seed_everything(options.seed)
        self.method = make_method(options, draw=draw_on(self.device))
        self.networks = self.method.networks()
        if self.start is None and pretrained:
            initialise_encoders(self.networks, options)
        use_channels_last(self.method.to(self.device))  # changes no number beyond rounding
        groups = self.method.parameter_groups()
        self.trained = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = make_optimizer(groups, options.learning_rate, options.optimizer)
        state = self.start.loss_scale if self.start else []
        self.loss_scale = LossScale(*state) if options.precision == "16" else None
        if self.start is None:
            load_start(self.networks, self.optimizer, options)
        else:
            checkpoint.load_networks(self.networks, self.start.folder, list(self.networks))
            checkpoint.load_optimizer(
                self.optimizer, self.networks, self.start.folder / checkpoint.STATE_FILE
            )
        self.method.complete(beginning=self.start is None)

    def _open_log(self, first_step: int) -> RunLog:
        """The log, begun with what the run is; `run.json` and `options.yaml` lie beside it."""
        options, total_steps = self.options, self.steps_per_epoch * self.options.num_epochs
        if not self.processes.is_first:
            return RunLog(None, total_steps, first_step=first_step)
        if not self.continues:
            make_room(self.run_folder, self.overwrites)
        resume.remove_leftovers(self.run_folder)
        if self.start:
            self._remove_moments(newest=self.start.folder)  # a kill came before that
        self.record.write(self.run_folder)
        save_options(options, self.run_folder / "options.yaml")
        board = with_wandb(board_writer(self.run_folder, first_step), options, self.run_folder, first_step)
        log = RunLog(self.run_folder, total_steps, board, first_step)
        log.message(
            f"{options.method} on {self.record.environment}: {len(self.train_set)} training and "
            f"{len(self.val_set)} validation samples, {total_steps} steps in {options.num_epochs} epochs, "
            f"to {self.run_folder}"
        )
        sizes = self._checkpoint_size(moments=True), self._checkpoint_size(moments=False)
        log.message(space_needed(options, *sizes, self.run_folder))
        for line in dict.fromkeys([*self.notes, *self.train_set.news(), *self.val_set.news()]):
            log.message(line)
        return log

    def _checkpoint_size(self, moments: bool) -> int:
        """Bytes."""
        states = {name: network.state_dict() for name, network in self.networks.items()}
        return checkpoint_bytes(states, self.trained if moments else [])

    def _batches(self, epoch: int, first: int = 0) -> Iterator[Sample]:
        """This process's training batches from the step `first` of an epoch on."""
        options = self.options
        return batches(
            self.train_set,
            epoch,
            options.batch_size,
            shuffle=True,
            seed=options.seed,
            num_workers=options.num_workers,
            drop_last=True,
            share=(self.processes.rank, self.processes.count),
            first=first * options.accumulate_steps,
            order=self.order,
            count=self.steps_per_epoch * options.accumulate_steps,
        )

    def _train_epoch(self, epoch: int, first: int) -> None:
        """The steps of an epoch, from its `first` on, or those there is time for."""
        options = self.options
        with closing(self._batches(epoch, first)) as loader:
            for number in range(first, self.steps_per_epoch):
                step = epoch * self.steps_per_epoch + number
                arrays = list(islice(loader, options.accumulate_steps))
                values, maps, batch = self.train_step(step, arrays)
                self.log.advance(self.step_size, values["loss"])
                self._tell_news()
                if self.processes.is_first and is_log_step(step, number, options.log_frequency):
                    self.log.entry(epoch, number, values["loss"])
                    truths = known_truths(self.train_set, epoch, arrays[-1])
                    self._log(step, "train", values, maps, batch, truths)
                    self._log(step, "val", *self.validation.one_batch(step))
                self.spent = self._is_spent()
                if self.spent:
                    break
                if number + 1 < self.steps_per_epoch:  # `_end_epoch` follows the last one
                    self._save_and_stop()

    def _end_epoch(self, epoch: int) -> None:
        """A checkpoint where one is due, and its validation."""
        due = (epoch + 1) % self.options.save_frequency == 0 or epoch + 1 == self.options.num_epochs
        due = due or self.spent
        whole = self.log.step == (epoch + 1) * self.steps_per_epoch
        self._save_and_stop(epoch if due and whole else None)
        if self.spent and self.log.step < self.options.num_epochs * self.steps_per_epoch:
            self.log.message(
                f"{self.options.max_cpu_seconds:g} processor seconds are used up after step {self.log.step}; --resume "
                "continues"
            )
        if due:
            self._validate_all()
        self._tell_news()
        if bad := self.train_set.count_bad_images() + self.val_set.count_bad_images():
            self.log.message(f"epoch {epoch}: {bad} missing or damaged images skipped so far")

    def _tell_news(self) -> None:
        for line in (*self.train_set.news(), *self.val_set.news(), *self.store.news()):
            self.log.message(line)

    def _save_and_stop(self, epoch: int | None = None) -> None:
        """Saves an epoch, or else a step where that is due; and if the run was asked to stop, saves and stops.

        Raises:
            Interrupted: says how to go on.
        """
        step, every = self.log.step, self.options.save_steps
        if epoch is not None or self.stopping or self.spent or (every and step % every == 0):
            between = resume.step_folder(self.run_folder, step)
            folder = between if epoch is None else weights_folder(self.run_folder, epoch)
            self.save(folder)
            if self.processes.is_first:
                resume.remove_steps(self.run_folder, newest=folder)
                self._remove_moments(newest=folder)
        if self.stopping:
            distributed.any_of([True], self.device)  # a launcher ends all when one ends: not while one writes
            self._stop()

    def _remove_moments(self, newest: Path) -> None:
        """Of all checkpoints but the newest, which is whole by now, and those that are to keep theirs."""
        kept = [weights_folder(self.run_folder, epoch) for epoch in self.options.keep_moments or ()]
        remove_moments(self.run_folder, newest, self.record.started, [*kept, *self.store.needed()])

    def _is_spent(self) -> bool:
        """Whether the processor's time of any process is used up, which all take note of."""
        most = self.options.max_cpu_seconds
        return most > 0 and distributed.any_of([process_time() >= most], self.device)[0]

    def _stop(self) -> None:
        command = resume.resume_command(self.processes)
        self.interruption.stop(f"stopped after step {self.log.step}; continue with: {command}")

    def train_step(self, step: int, arrays: Iterable[Sample]) -> tuple[Numbers, Tensors, Tensors]:
        """One update of the weights by the mean gradient of the batches.

        Returns:
            The terms of the loss, means over the batches; maps and tensors of the last one.
        """
        options, arrays, means = self.options, list(arrays), Means()
        factor = self.loss_scale.factor if self.loss_scale else 1.0
        set_rates(self.optimizer, options.rates(step, self.steps_per_epoch))
        self.method.train()
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(arrays):
            position = number * self.processes.count + self.processes.rank
            seed_everything(step_seed(options.seed, step, position))
            batch = self.method.prepare(to_batch(part, self.device))
            losses = self.method.losses(batch)
            means.add(finite_numbers(losses, part, self.train_set))
            (losses.loss * (factor / len(arrays))).backward()
        self._update(means.values()["loss"], arrays[-1])
        return means.values(), losses.maps, batch

    def _update(self, loss: float, arrays: Sample) -> None:
        """Adam's step by the mean gradient of all processes; none where float16 was too narrow for the gradients.

        Args:
            loss, arrays: of the step, for the message.

        Raises:
            NotFiniteError: a gradient is not finite, though the loss is; the weights are as before the step.
        """
        self.stopping = self.interruption.number != 0
        if self.processes.count > 1:
            self.stopping = distributed.average_gradients(self.trained, flag=self.stopping)
        gradients = [parameter.grad for parameter in self.trained if parameter.grad is not None]
        if self.loss_scale is not None:
            for gradient in gradients:
                gradient /= self.loss_scale.factor
            finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
            if not self.loss_scale.update(finite):
                return
        elif not all_finite(gradients):
            raise gradients_lost(self._lost_gradients(), loss, arrays, self.train_set)
        if self.options.gradient_clip is not None:
            clip_gradients(gradients, self.options.gradient_clip)
        self.optimizer.step()

    def _lost_gradients(self) -> list[str]:
        """Names of the parameters whose gradient is not finite."""
        return [
            name
            for name, parameter in checkpoint.named_parameters(self.networks)
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all())
        ]

    def _validate_all(self) -> None:
        """The whole validation list, by the first process; the best weights so far are kept as `weights_best`.

        The others meet it after every batch: nobody waits for longer than one, and a stop is everybody's.
        """
        if not self.options.validation:
            return
        values: Numbers = {}
        if self.processes.is_first:
            values = self.validation.everything(lambda: self._meet(busy=True))
        while not self.stopping and self._meet(busy=False):
            pass
        if self.stopping:  # done again on resume
            self._stop()
        if not self.processes.is_first:
            return
        self.log.message(f"validation: {describe(self.options, values)}")
        self.log.scalars(self.log.step, "validation", values)
        folder = weights_folder(self.run_folder, "best")
        if is_better(self.options, values, resume.best_so_far(folder, self.record)):
            self.save(folder, values, moments=False)

    def _meet(self, busy: bool) -> bool:
        """Whether any process is still busy and none was asked to stop, of which all take note."""
        asked = self.interruption.number != 0
        busy, self.stopping = distributed.any_of([busy, asked], self.device)
        return busy and not self.stopping

    def _log(
        self, step: int, part: str, values: Numbers, maps: Tensors, batch: Tensors, truths: list[Truth | None]
    ) -> None:
        self.log.scalars(step, part, log_values(self.options, values, maps, truths))
        if self.log.writer is not None:
            arrays = {name: to_array(tensor) for name, tensor in (batch | maps).items()}
            self.log.images(step, part, log_pictures(arrays))
        if part == "train":
            for line in self.guard.warnings(sigmoid_ranges(maps)):
                self.log.message(line)
