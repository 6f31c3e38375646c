"""Notices a scale that predicts one depth for every pixel.

Its sigmoid is 0 or 1 everywhere, where it has no gradient, or one number in between, as of a head whose weights are 0.
"""

from collections.abc import Mapping

EDGE = 1e-3
FLAT = 1e-3  # of a sigmoid's largest value: a network that has learned nothing yet differs by a few per cent
PATIENCE = 5  # log entries in a row, before it is said


class CollapseGuard:
    """Watches the sigmoids of all scales at log steps; warns once of each.

    Args:
        cure: what to try.
    """

    def __init__(self, cure: str) -> None:
        self.cure = cure
        self._stuck: dict[str, int] = {}

    def warnings(self, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
        """Lines to print now.

        Args:
            ranges: smallest and largest sigmoid of a batch, by scale.
        """
        lines = []
        for scale, (smallest, largest) in ranges.items():
            what = _constant(smallest, largest)
            self._stuck[scale] = self._stuck.get(scale, 0) + 1 if what else 0
            if self._stuck[scale] == PATIENCE:
                lines.append(
                    f"warning: scale {scale} predicts {what} for every pixel "
                    f"of the last {PATIENCE} log entries, where it learns no more; try {self.cure}"
                )
        return lines


def _constant(smallest: float, largest: float) -> str:
    """The one depth that a scale predicts, in words; empty where there are several."""
    if largest < EDGE:
        return "max_depth"
    if smallest > 1 - EDGE:
        return "min_depth"
    return f"one depth (sigmoid {largest:.3f})" if largest - smallest <= FLAT * largest else ""
