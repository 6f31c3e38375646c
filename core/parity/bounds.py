"""How far apart two backends may be, and why: the one table of `check_parity.py`.

Differences are relative to the largest value of the array compared. In double precision correct code agrees to about
1e-14, so a mistake stands out; in single precision two correct libraries differ by what their sums round.
"""

from dataclasses import dataclass

# Adam's first steps are ± the rate for every weight, so rounding of tiny gradients spreads: at the usual 1e-4 ten steps
# are chaos in any precision. At 1e-6 PyTorch alone, with one thread and with two, still differs by 2e-2 after six steps
# of a ResNet-50 in single precision, at 1e-7 by 2e-4, and the loss falls by a tenth all the same.
LEARNING_RATE = 1e-7
# Why single precision is not, or less strictly, compared. Measured with PyTorch alone, its float32 against its float64.
AMPLIFIED = (
    "Batch normalisation over few values amplifies rounding: statistics of a ResNet-50 as it is initialised, at 96x64, "
    "move by 5e-5 in single precision"
)
FLIPPED = (
    "In single precision a value within rounding of a kink falls on its other side, one ReLU in a million or the "
    "winner of a pixel's minimum, and moves gradients by 1e-3 to 1e-1"
)
JUMPING = (
    "Terms that jump where a pixel chooses otherwise (`jumping_terms` of the options) count in double precision alone: "
    "between values that are equal but for rounding, single precision chooses by chance"
)


@dataclass(frozen=True)
class Section:
    """A part of the comparison.

    Attributes:
        title: for the table; "{network}" stands for one row per network.
        bounds: `{precision: largest relative difference}`; a precision that is absent is not compared.
        reason: where the bounds come from.
        optional: a method may have nothing of it.
    """

    title: str
    bounds: dict[str, float]
    reason: str
    optional: bool = False


SECTIONS = {
    "weights": Section("weights", {"float32": 0.0}, "read or made as float32: equal to the bit"),
    "layers": Section(
        "{network} layers",
        {"float32": 1e-5, "float64": 1e-10},
        "output of every layer in evaluation mode; one operator is within 1e-5 and 1e-10 of the other's",
    ),
    "terms": Section(
        "loss terms",
        {"float32": 1e-5, "float64": 1e-12},
        "the loss, networks in evaluation mode. " + JUMPING,
    ),
    "training_terms": Section(
        "loss terms, training",
        {"float64": 1e-12},
        "the loss, networks in training mode. " + AMPLIFIED,
    ),
    "statistics": Section(
        "running statistics",
        {"float32": 1e-4, "float64": 1e-10},
        "batch normalisation's mean and variance after one pass in training mode. " + AMPLIFIED,
        optional=True,
    ),
    "objective_gradients": Section(
        "gradients, smooth",
        {"float64": 1e-9},
        "of all parameters, for a fixed linear function of the networks' outputs: backward passes of the networks. "
        + FLIPPED,
    ),
    "loss_gradients": Section(
        "gradients, loss", {"float64": 1e-6}, "of all parameters, for the whole loss. " + FLIPPED
    ),
    "update": Section(
        "first Adam step",
        {"float64": 1e-4},
        "change of all parameters, in units of the rate (three float32 steps at 1e-4 are within 3e-8). Where a "
        "gradient is below Adam's epsilon, 1e-8, its last digits decide; in single precision they are rounding",
    ),
    "losses": Section(
        "loss of each step",
        {"float32": 1e-3, "float64": 1e-6},
        f"networks in training mode, Adam at {LEARNING_RATE:g}: a small part of what the loss changes by, a multiple "
        "of what rounding makes of it. " + JUMPING,
    ),
    "metrics": Section(
        "depth metrics",
        {"float32": 1e-3, "float64": 1e-10},
        "the seven metrics of both disparities against a made-up ground truth. Three digits are printed, and in single "
        "precision a pixel may change sides of a threshold",
        optional=True,
    ),
}
PRECISIONS = ("float32", "float64")


def jumps(term: str, kinds: tuple[str, ...], precision: str) -> bool:
    """Whether a term of the loss, `kind` or `kind/scale`, is left out in a precision; see `JUMPING`."""
    return precision != "float64" and term.partition("/")[0] in kinds


def is_compared(section: str, precision: str) -> bool:
    """Whether the table has a bound for it."""
    return precision in SECTIONS[section].bounds
