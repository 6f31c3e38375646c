"""The training step in PyTorch: warp and loss by themselves, and bytes to floats, beside the plain versions."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from backends.torch.methods import make_method
from backends.torch.tensors import seed_everything, to_batch
from benchmarks import Row, agreement
from benchmarks.timing import compare
from core.datasets.sample import image_key
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options

HEIGHT, WIDTH, COUNT = 192, 640, agreement.COUNT
ROUNDS = 5
CPU = torch.device("cpu")


def measure() -> Iterator[Row]:
    """Agreement in double precision first."""
    difference = agreement.largest_difference(CPU)
    if not difference <= agreement.BOUND:
        raise UserError(f"the plain loss differs from ours by {difference:.1e}, bound {agreement.BOUND:.0e}")
    yield from warp_and_loss(difference)
    yield from floats()


def warp_and_loss(difference: float) -> Iterator[Row]:
    """Forward and backward of given sigmoids and motions, and what the graph holds between the two."""
    options = Monodepth2Options(height=HEIGHT, width=WIDTH, weights_init="scratch")
    method = make_method(options).train()
    batch = {name: tensor.float() for name, tensor in agreement.batch_of(options, CPU).items()}
    drawn = {name: tensor.float() for name, tensor in agreement.draw_inputs(options, CPU).items()}

    def job(take) -> Tensor:
        seed_everything(0)
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in drawn.items()}
        return take(method, batch, leaves)

    def plain() -> None:
        job(agreement.to_the_letter).backward()

    def ours() -> None:
        job(agreement.ours).backward()

    yield compare("warp and loss", plain, ours, rounds=ROUNDS, wanted=3.0, difference=difference, per=COUNT)
    kept = [kept_mebibytes(lambda take=take: job(take)) for take in (agreement.to_the_letter, agreement.ours)]
    yield Row.of_costs("warp and loss, kept for the backward pass", *kept, "MiB")


def kept_mebibytes(job) -> float:
    """Memory of all that autograd keeps of a forward pass, each storage once."""
    held: dict[int, tuple[Tensor, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = tensor, storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = job()
    del result
    return sum(size for _, size in held.values()) / 2**20


def floats() -> Iterator[Row]:
    """A batch of bytes: what networks see, and what losses compare."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    batch = {"augmented_0": image, image_key(0): image}

    def plain() -> list[Tensor]:
        return [
            torch.from_numpy(array).permute(0, 3, 1, 2).float().contiguous() / 255 for array in batch.values()
        ]

    def ours() -> list[Tensor]:
        return list(to_batch(batch).values())

    difference = max((a - b).abs().max().item() for a, b in zip(plain(), ours(), strict=True))
    yield compare(
        "uint8 batch to floats", plain, ours, rounds=4 * ROUNDS, wanted=4.0, difference=difference, per=2
    )
