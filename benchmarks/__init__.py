"""Measurements, side by side with a plain version: one table of ratios for all of them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEADS = ("job", "plain", "ours", "ratio", "wanted", "largest difference")


@dataclass(frozen=True)
class Row:
    """One job done twice in the same run: in a plain way, and as the toolbox does it.

    Attributes:
        job: what was measured.
        plain: speed or cost of the plain version; None where only the ratio says something.
        ours: the same of the toolbox.
        ratio: how many times better ours is, above 1 where it is faster or smaller.
        largest_difference: between the results, relative; None where there is nothing to compare.
        unit: of `plain` and `ours`.
        wanted: the ratio to be reached; None where none is promised.
        unsteadiness: how far the ratios of two halves of the rounds are apart, relative; None where there were none.
        remark: what stands in the way of what is wanted, and the measured floor.
    """

    job: str
    plain: float | None
    ours: float | None
    ratio: float | None
    largest_difference: float | None = None
    unit: str = ""
    wanted: float | None = None
    unsteadiness: float | None = None
    remark: str = ""

    @classmethod
    def of_rates(
        cls, job: str, plain: float, ours: float, unit: str, largest_difference: float | None = None
    ) -> "Row":
        """A row of what should be large, such as images a second."""
        return cls(job, plain, ours, ours / plain, largest_difference, unit)

    @classmethod
    def of_costs(
        cls, job: str, plain: float, ours: float, unit: str, largest_difference: float | None = None
    ) -> "Row":
        """A row of what should be small, such as memory."""
        return cls(job, plain, ours, plain / ours, largest_difference, unit)

    def ratio_alone(self) -> "Row":
        """The same without absolute numbers, which say nothing of a machine that others share."""
        return dataclasses.replace(self, plain=None, ours=None)

    def cells(self) -> tuple[str, ...]:
        """The texts of its columns, in the order of `HEADS`."""
        unit = f" {self.unit}" if self.unit else ""
        plain, ours = (_number(value) + unit * (value is not None) for value in (self.plain, self.ours))
        numbers = (self.ratio, self.wanted, self.largest_difference)
        return self.job, plain, ours, *map(_number, numbers)

    @property
    def met(self) -> bool:
        """Whether what is wanted is reached; so is what nobody promised."""
        return self.wanted is None or (self.ratio is not None and self.ratio >= self.wanted)

    def as_json(self) -> dict[str, Any]:
        """What JSON keeps of it."""
        return dataclasses.asdict(self)


def table(rows: Sequence[Row]) -> str:
    """The rows as text, a line each below the heads."""
    lines = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _number(value: float | None) -> str:
    """Three digits that count; `-` for none."""
    if value is None:
        return "-"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
