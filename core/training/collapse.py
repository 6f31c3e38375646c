"""Notices a scale that has stopped learning: its sigmoid is 0 or 1 everywhere, where it has no gradient."""

from collections.abc import Mapping

EDGE = 1e-3
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
            far, near = largest < EDGE, smallest > 1 - EDGE
            self._stuck[scale] = self._stuck.get(scale, 0) + 1 if far or near else 0
            if self._stuck[scale] == PATIENCE:
                lines.append(
                    f"warning: scale {scale} predicts {'max_depth' if far else 'min_depth'} for every pixel "
                    f"of the last {PATIENCE} log entries, where it learns no more; try {self.cure}"
                )
        return lines
