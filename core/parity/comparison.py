"""How far apart two results are."""

import math
from dataclasses import dataclass

import numpy as np

from core.datasets.ground_truth import SparseDepth
from core.evaluation.depth import evaluate_depth
from core.evaluation.metrics import METRIC_NAMES
from core.options.protocols import PROTOCOLS
from core.parity.bounds import PRECISIONS, SECTIONS
from core.parity.results import Result


@dataclass(frozen=True)
class Item:
    """One array of both results.

    Attributes:
        difference: largest absolute difference over `largest`; infinite where the two cannot be compared.
        largest: largest absolute value of both.
        remark: why they cannot be compared, or "".
    """

    name: str
    difference: float
    largest: float
    remark: str = ""


@dataclass(frozen=True)
class Check:
    """One section in one precision; layers also by network.

    Attributes:
        items: in the order of execution.
    """

    section: str
    network: str
    precision: str
    bound: float
    items: list[Item]

    @property
    def passed(self) -> bool:
        """Whether every item is within the bound."""
        return all(item.difference <= self.bound for item in self.items)

    @property
    def telling(self) -> Item:
        """The first item beyond the bound, what follows it being infected; else the one with the largest difference."""
        beyond = (item for item in self.items if not item.difference <= self.bound)
        return next(beyond, None) or max(self.items, key=lambda item: item.difference)


def compare(first: Result, second: Result, names: tuple[str, str]) -> list[Check]:
    """Checks of everything that `SECTIONS` bounds, in its order.

    Args:
        first, second: arrays by `section/precision/item`.
        names: of the two, for remarks.

    Raises:
        ValueError: neither has anything for a bounded section.
    """
    grouped: dict[tuple[str, str, str], list[Item]] = {}
    for key in [*first, *(key for key in second if key not in first)]:
        section, _, rest = key.partition("/")
        if section not in SECTIONS:
            continue  # the version
        precision, _, name = rest.partition("/")
        network = name.partition("/")[0] if "{network}" in SECTIONS[section].title else ""
        bound = SECTIONS[section].bounds.get(precision, 0.0)
        scale = min(zero_scale(key, result, bound) for result in (first, second))
        item = _item(name.removeprefix(f"{network}/"), first.get(key), second.get(key), names, scale)
        grouped.setdefault((section, network, precision), []).append(item)
    checks = [
        Check(section, network, precision, bound, grouped[section, network, precision])
        for section, entry in SECTIONS.items()
        for network in dict.fromkeys(n for s, n, _ in grouped if s == section)
        for precision, bound in entry.bounds.items()
        if (section, network, precision) in grouped
    ]
    for section, entry in SECTIONS.items():
        for precision in entry.bounds:
            found = any((check.section, check.precision) == (section, precision) for check in checks)
            if not (found or entry.optional):
                raise ValueError(f"the results lack {section} in {precision}")
    return checks


def zero_scale(key: str, result: Result, bound: float) -> float:
    """What a bias that is 0 but for rounding is compared by: the largest value of the weight beside it; else 0.

    A bias before a normalisation that has no two channels in a group changes nothing, so its gradient is what sums
    leave: below any bound, beside that of the weight.
    """
    weight, bias = result.get(f"{key.removesuffix('.bias')}.weight"), result.get(key)
    if not key.endswith(".bias") or weight is None or bias is None or bound == 0:
        return 0.0
    largest = float(np.abs(weight).max())
    return largest if float(np.abs(bias).max()) <= bound * largest else 0.0


def _item(
    name: str,
    first: np.ndarray | None,
    second: np.ndarray | None,
    names: tuple[str, str],
    scale: float = 0.0,
) -> Item:
    """The difference of two arrays in units of their largest value, or of `scale` where that is larger."""
    if first is None or second is None:
        return Item(name, math.inf, math.nan, f"only {names[first is None]} has it")
    if first.shape != second.shape:
        return Item(name, math.inf, math.nan, f"shapes {first.shape} and {second.shape}")
    if first.dtype.kind == "U":  # digests
        return Item(name, 0.0 if first == second else math.inf, math.nan, "" if first == second else "differ")
    a, b = first.astype(np.float64), second.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Item(name, math.inf, math.nan, "not finite")
    largest = float(max(np.abs(a).max(), np.abs(b).max()))
    difference = float(np.abs(a - b).max())
    unit = max(largest, scale)
    return Item(name, difference / unit if unit else 0.0, largest)


def with_metrics(result: Result, truth: list[SparseDepth]) -> Result:
    """The result with its disparities, `metrics/<precision>/disparity`, if any, replaced by the metrics of depth."""
    replaced = {key: array for key, array in result.items() if not key.endswith("/disparity")}
    for precision in PRECISIONS:
        disparity = result.get(f"metrics/{precision}/disparity")
        if disparity is None:  # the model predicts no depth
            continue
        for name, values in zip(METRIC_NAMES, _metrics(disparity[:, 0], truth).T, strict=True):
            replaced[f"metrics/{precision}/{name}"] = values
    return replaced


def _metrics(disparity: np.ndarray, truth: list[SparseDepth]) -> np.ndarray:
    """(images, 7); NaN where a disparity is not finite, which evaluation refuses."""
    if not np.isfinite(disparity).all():
        return np.full((len(truth), len(METRIC_NAMES)), math.nan)
    return evaluate_depth(disparity, truth, PROTOCOLS["eigen_benchmark"]).per_image
