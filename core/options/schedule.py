"""The learning rate, other schedules and the random state as pure functions: nothing to save, nothing to restore.

A method's `rates` (`core/options/training.py`) is made of them.
"""

import math
from collections.abc import Sequence

# Keeps these draws apart from those of order and samples (core/datasets/loader.py, core/datasets/samples.py).
STEP_STREAM = 2


def step_decay(
    step: int,
    steps_per_epoch: int,
    base_rate: float,
    step_size: int,
    gamma: float = 0.1,
    decay_one_epoch_early: bool = False,
) -> float:
    """The rate of a training step: multiplied by gamma after every `step_size` full epochs.

    Args:
        step: from 0, over all epochs.
        base_rate: rate of the first epoch.
        step_size: epochs between decays.
        decay_one_epoch_early: as the program of Godard et al. 2019 on PyTorch from 1.1 on, whose order of calls makes
            the first decay come after `step_size - 1` epochs.
    """
    epoch = step // steps_per_epoch
    return float(base_rate * gamma ** ((epoch + decay_one_epoch_early) // step_size))


def milestones(
    step: int, steps_per_epoch: int, base_rate: float, epochs: Sequence[int], gamma: float = 0.1
) -> float:
    """The rate of a training step: multiplied by gamma at the start of each of some epochs, counted from 0."""
    epoch = step // steps_per_epoch
    return float(base_rate * gamma ** sum(epoch >= milestone for milestone in epochs))


def linear_warmup(step: int, steps: int, start: float) -> float:
    """What a rate is multiplied by in the first steps: from `start` at step 0 to 1 after so many steps, linearly."""
    return 1.0 if step >= steps else start + (1 - start) * step / steps


def ray_coefficient(progress: float, epochs: float | None = None, max_epochs: float = 50) -> float:
    """What a residual of viewing rays is multiplied by, from 0 to 1 (Vasiljevic et al. 2020, and their program).

    Args:
        progress: epoch / max_epochs.
        epochs: of a linear ramp, as the paper has it; none: (100 progress)^(4/3) / 100, their program's.
        max_epochs: of the training, for a linear ramp.
    """
    if epochs is None:
        return min((100 * progress) ** (4 / 3) / 100, 1.0)
    return min(progress * max_epochs / epochs, 1.0) if epochs > 0 else 1.0


def falling_temperature(
    progress: float, start: float = 1e-4, least: float = 1e-8, decay: float = 0.1
) -> float:
    """max(least, start · exp(−decay · progress)), of a softmax over viewing rays, in squared radians."""
    return max(least, start * math.exp(-decay * progress))


def step_seed(seed: int, step: int, part: int = 0) -> int:
    """What a framework's random state is set to before a part of a training step: below 2^31.

    Args:
        seed: of the run.
        step: from 0, over all epochs.
        part: number of the batch within the step, over all processes.
    """
    import numpy as np

    return int(np.random.default_rng([STEP_STREAM, seed, step, part]).integers(2**31))
