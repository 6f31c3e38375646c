"""The training step at the published setting beside a plain one: speed and memory in every precision, and shares."""

from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter

import torch
from torch import Tensor

from backends.torch.tensors import to_batch
from backends.torch.trainer import Trainer
from benchmarks import Row, agreement, kernels
from benchmarks.frames import Repeated, make_frames, options_on
from benchmarks.plain import PlainTrainer
from benchmarks.setting import Setting, use_tf32
from core.cores import available_cores
from core.datasets.loader import batches
from core.datasets.sample import Sample
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options

ROUNDS = {False: 10, True: 1}  # small or not
STEPS_WITH_LOADER = {False: 20, True: 2}
UNIT = "images/s"
COMPILED = {
    False: ("networks", "networks and loss"),
    True: ("loss",),
}  # one after the other, in the same method


@dataclass
class Variant:
    """A way to take the step: a trainer, and a switch that is on while it works."""

    step: Callable[[int], float]
    switch: Callable[[bool], None] = lambda on: None

    def __call__(self, number: int = 0) -> float:
        """One step; its loss."""
        self.switch(True)
        try:
            return self.step(number)
        finally:
            self.switch(False)


def measure(setting: Setting) -> None:
    """Agreement first: a plain version that computes something else would be no measure."""
    check_agreement(setting)
    options = options_on(make_frames(setting.output, setting.small), setting.small)
    arrays = next(loader(options, options.batch_size, workers=0))
    trainer = Trainer(options, pretrained=False)
    variants = {"plain": plain_variant(trainer, arrays), **our_variants(setting, trainer, arrays)}
    compare(setting, variants, options.batch_size)
    shares(setting, trainer, arrays)
    waiting(setting, trainer)
    kernels.describe(setting, lambda: trainer.train_step(0, [arrays]))
    variants = {"plain": variants["plain"], "float32": variants["float32"]}
    compare_compiled(setting, variants, options, arrays)


def check_agreement(setting: Setting) -> None:
    """Raises UserError where the plain loss is not ours."""
    difference = agreement.largest_difference(setting.device)
    setting.report.value("plain loss and gradients beside ours in float64, largest difference", difference)
    if not difference <= agreement.BOUND:
        raise UserError(f"the plain loss differs from ours by {difference:.1e}, bound {agreement.BOUND:.0e}")


def loader(options: Monodepth2Options, length: int, workers: int):
    """Batches of so many samples in all."""
    samples = Repeated(options, length)
    size, seed = options.batch_size, options.seed
    return batches(samples, 0, size, shuffle=True, seed=seed, num_workers=workers, drop_last=True)


def plain_variant(trainer: Trainer, arrays: Sample) -> Variant:
    plain = PlainTrainer(trainer.method, trainer.device)
    return Variant(lambda number: plain.train_step(number, arrays))


def variant_of(trainer: Trainer, arrays: Sample, switch: Callable[[bool], None] | None = None) -> Variant:
    """The toolbox's own step."""
    step = Variant(lambda number: trainer.train_step(number, [arrays])[0]["loss"])
    return step if switch is None else replace(step, switch=switch)


def our_variants(setting: Setting, trainer: Trainer, arrays: Sample) -> dict[str, Variant]:
    """Every precision that the device knows, from the same weights."""

    def other(precision: str, switch: Callable[[bool], None] | None = None) -> Variant:
        options = replace(trainer.options, precision=precision)
        return variant_of(Trainer(options, pretrained=False), arrays, switch)

    found = {"float32": variant_of(trainer, arrays)}
    if setting.on_gpu:
        found["float32, cudnn.benchmark"] = other("32", use_cudnn_benchmark)
        found["TF32"] = other("32", use_tf32)
        found["float16"] = other("16")
    return found | {"bf16": other("bf16")}


def use_cudnn_benchmark(on: bool) -> None:
    torch.backends.cudnn.benchmark = on


def compare(setting: Setting, variants: dict[str, Variant], batch: int) -> None:
    """A row of speed and one of memory for each variant, all beside the plain step."""
    report = setting.report
    losses = {name: variant() for name, variant in variants.items()}  # of the first step, from equal weights
    memory = {name: setting.peak_memory(variant) for name, variant in variants.items()}
    seconds = setting.medians(dict(variants), ROUNDS[setting.small])
    rates = {name: batch / value for name, value in seconds.items()}
    for name in list(variants)[1:]:
        difference = abs(losses[name] - losses["plain"]) / abs(losses["plain"])
        report.row(Row.of_rates(f"step, {name}", rates["plain"], rates[name], UNIT, difference))
        report.speed(f"{UNIT} {name}", rates[name])
        if memory[name] is not None and memory["plain"] is not None:
            report.row(
                Row.of_costs(f"peak memory beside weights, {name}", memory["plain"], memory[name], "GiB")
            )


def compare_compiled(
    setting: Setting, variants: dict[str, Variant], options: Monodepth2Options, arrays: Sample
) -> None:
    """torch.compile last: it takes longest, and needs a compiler that may be absent."""
    # Tracing alone where it is only a trial: compiling for a CPU takes minutes.
    backend = "eager" if setting.small else "inductor"
    trainer = Trainer(options, pretrained=False)
    for what in COMPILED[setting.small]:
        start = perf_counter()
        try:
            compile_parts(trainer, what, backend)
            compiled = variant_of(trainer, arrays)
            compiled()
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            setting.report.note(f"torch.compile of {what}: {type(error).__name__}: {reason}")
            return
        setting.report.speed(f"seconds to compile {what}", perf_counter() - start)
        compare_one(setting, f"torch.compile of {what}", variants, compiled, options.batch_size)


def compare_one(
    setting: Setting, name: str, variants: dict[str, Variant], variant: Variant, batch: int
) -> None:
    """A row of a variant whose first step is over, beside the plain step."""
    seconds = setting.medians(variants | {name: variant}, ROUNDS[setting.small])
    setting.report.row(Row.of_rates(f"step, {name}", batch / seconds["plain"], batch / seconds[name], UNIT))
    memory = {part: setting.peak_memory(job) for part, job in (("plain", variants["plain"]), (name, variant))}
    if memory["plain"] is not None and memory[name] is not None:
        setting.report.row(
            Row.of_costs(f"peak memory beside weights, {name}", memory["plain"], memory[name], "GiB")
        )


def compile_parts(trainer: Trainer, what: str, backend: str) -> None:
    """Compiles the networks, or the loss after them, in place."""
    method = trainer.method
    if what == "networks":
        for network in method.networks().values():
            network.compile(backend=backend)
    else:
        method.synthesis_losses = torch.compile(method.synthesis_losses, backend=backend)


# --- where the time goes ---


def shares(setting: Setting, trainer: Trainer, arrays: Sample) -> None:
    """Shares of a step: each piece timed with the device idle before and after."""
    total: dict[str, float] = {}
    for number in range(ROUNDS[setting.small] + 1):
        clock = Clock(setting)
        step_in_pieces(trainer, arrays, clock)
        if number > 0:
            total = {name: total.get(name, 0.0) + seconds for name, seconds in clock.seconds.items()}
    everything = sum(total.values())
    for name, seconds in total.items():
        setting.report.value(f"share of a float32 step, {name}", seconds / everything)


class Clock:
    """Seconds by name."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.seconds = setting, {}

    @contextmanager
    def of(self, name: str):
        """Times what happens inside."""
        self.setting.synchronise()
        start = perf_counter()
        yield
        self.setting.synchronise()
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start


def step_in_pieces(trainer: Trainer, arrays: Sample, clock: Clock) -> None:
    """A step as `Trainer.train_step` takes it, cut where the networks end and the loss begins."""
    method, optimizer = trainer.method, trainer.optimizer
    method.train()
    optimizer.zero_grad(set_to_none=True)
    with clock.of("to the device"):
        batch = to_batch(arrays, trainer.device)
    with clock.of("networks"):
        features = method._features(batch)
        sigmoids, poses = method.depth(features[0]), method.poses(batch, features)
    outputs = [
        *sigmoids.values(),
        *(t for pose in poses.values() for t in (pose.axisangle, pose.translation)),
    ]
    leaves = [output.detach().requires_grad_() for output in outputs]
    with clock.of("loss"):
        losses = method.synthesis_losses(batch, *given(sigmoids, poses, leaves), None)
        losses.loss.backward()
    with clock.of("networks"):
        torch.autograd.backward(outputs, [leaf.grad for leaf in leaves])
    with clock.of("optimiser"):
        optimizer.step()


def given(sigmoids: dict[int, Tensor], poses: dict, leaves: list[Tensor]) -> tuple[dict, dict]:
    """Sigmoids and poses like these, made of the leaves in their order."""
    rest = iter(leaves)
    new_sigmoids = {scale: next(rest) for scale in sigmoids}
    new_poses = {
        frame: replace(pose, axisangle=next(rest), translation=next(rest)) for frame, pose in poses.items()
    }
    return new_sigmoids, new_poses


def waiting(setting: Setting, trainer: Trainer) -> None:
    """The share of its time that a training waits for the loader, with as many threads as cores."""
    options, steps = trainer.options, STEPS_WITH_LOADER[setting.small]
    workers = min(available_cores(), options.num_workers)
    clock = Clock(setting)
    with closing(loader(options, steps * options.batch_size, workers)) as source:
        trainer.train_step(0, islice(source, 1))  # the threads' start is none of it
        for number in range(1, steps):
            with clock.of("waiting"):
                arrays = next(source)
            with clock.of("step"):
                trainer.train_step(number, [arrays])
    share = clock.seconds["waiting"] / sum(clock.seconds.values())
    setting.report.value(f"share of a float32 training that waits for {workers} loading threads", share)
