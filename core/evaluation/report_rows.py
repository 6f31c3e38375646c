"""Rows of a table out of files of `evaluate_depth.py --output`, of one variant of a prediction or of several."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.evaluation.comparison import Scaling
from core.evaluation.metrics import METRIC_NAMES
from core.evaluation.variants import LEGEND, SCALED
from core.files.regular import read_text
from core.options.protocols import Protocol


@dataclass(frozen=True)
class Rows:
    """What was measured of one or several models, all by one protocol.

    Attributes:
        protocol: by which all are measured.
        scalings: how predictions got into metres, by variant; "" where there is only one.
        means: (7,) mean metrics by the name of their row.
    """

    protocol: Protocol
    scalings: dict[str, Scaling]
    means: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def alike(self) -> tuple[Protocol, list[tuple[str, str, float]]]:
        """What rows of one table must have in common."""
        kinds = {(ending_of(name), one.kind, one.factor) for name, one in self.scalings.items()}
        return self.protocol, sorted(kinds)

    @property
    def endings(self) -> dict[str, Scaling]:
        """Each scaling by the end of the names of its rows, "" for that of most files."""
        return {ending_of(name): one for name, one in self.scalings.items()}

    @property
    def shown(self) -> Scaling:
        """The scaling of a picture: by medians where there is such a row, for only that suits every model."""
        return self.endings.get(SCALED, next(iter(self.scalings.values())))

    def words(self) -> str:
        """What was scaled how, for the head of the table, with what the ends of the names mean."""
        first = next(iter(self.endings.values())).describe()
        used = [
            f"{end}: {words}" for end, words in LEGEND.items() if any(end in name for name in self.scalings)
        ]
        return ", ".join([*used, f"else {first}"]) if used else first


def ending_of(variant: str) -> str:
    """`_gt`, of variants that are scaled by medians beside some that are not, else ""."""
    return SCALED if variant.endswith(SCALED) else ""


def read_rows(entries: Sequence[str]) -> Rows:
    """The rows of all files.

    Args:
        entries: NAME=FILE each; the variants of a file become rows "NAME VARIANT".

    Raises:
        UserError: a file is none of `evaluate_depth.py`, or measured otherwise than the first; names its entry.
    """
    files = [_read(entry) for entry in entries]
    for entry, found in zip(entries, files, strict=True):
        if found.alike != files[0].alike:
            raise UserError(f"--metrics {entry}: measured otherwise than the first; evaluate all rows alike")
    scalings = {name: one for found in files for name, one in found.scalings.items()}
    return Rows(
        files[0].protocol, scalings, {name: row for found in files for name, row in found.means.items()}
    )


def _read(entry: str) -> Rows:
    name, _, file = entry.partition("=")
    try:
        content = json.loads(read_text(Path(file), "utf-8"))
        mark = ((content.get("origin") or {}).get("seen_in_training") or {}).get("mark")
        name = f"{name} ({mark})" if isinstance(mark, str) else name
        several = content.get("variants", {"": content})
        found = Rows(
            Protocol.from_json(content["protocol"]),
            {variant: _scaling(**one["scaling"]) for variant, one in several.items()},
            {f"{name} {variant}".strip(): _mean(one) for variant, one in several.items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--metrics {entry}: {file!r} is no output of evaluate_depth.py with the seven metrics ({error})"
        ) from None
    if not found.scalings:
        raise UserError(f"--metrics {entry}: {file!r} holds no variant; evaluate again")
    return found


def _scaling(kind: Any, factor: float) -> Scaling:
    if kind not in ("median", "unit", "none"):
        raise ValueError(f"scaling {str(kind)[:40]!r} is unknown")
    return Scaling(kind, float(factor))


def _mean(content: dict[str, Any]) -> np.ndarray:
    return np.array([float(content["mean"][metric]) for metric in METRIC_NAMES])
