"""The factor that keeps gradients inside the range of float16 (Micikevicius et al., Mixed precision training, 2018)."""

LARGEST = 2.0**16
GROWTH_INTERVAL = 2000  # steps without overflow, after which twice the factor is tried


class LossScale:
    """A power of two, which changes no digit of a gradient: halved when one overflows, doubled after many that did not.

    Attributes:
        factor: multiplies the loss, and divides the gradients.
        good_steps: since the factor last changed.
    """

    def __init__(self, factor: float = LARGEST, good_steps: int = 0) -> None:
        self.factor = float(factor)
        self.good_steps = int(good_steps)

    def update(self, finite: bool) -> bool:
        """Learns whether all gradients of a step were finite; returns that, as the step is to be left out otherwise."""
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.factor /= 2
        elif self.good_steps == GROWTH_INTERVAL:
            self.factor, self.good_steps = min(2 * self.factor, LARGEST), 0
        return finite

    def state(self) -> list[float]:
        """What a checkpoint keeps: the arguments of `LossScale`."""
        return [self.factor, self.good_steps]
