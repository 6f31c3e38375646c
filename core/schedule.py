"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""


def learning_rate(
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
        decay_one_epoch_early: as the published Monodepth2 on PyTorch from 1.1 on, whose order of calls makes
            the first decay come after `step_size - 1` epochs.
    """
    epoch = step // steps_per_epoch
    return float(base_rate * gamma ** ((epoch + decay_one_epoch_early) // step_size))
