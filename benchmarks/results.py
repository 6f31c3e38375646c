"""What a part of the check found: written after every finding, so that a run that is cut off leaves what it had."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import Row, table
from core.files.whole import write_text


@dataclass
class Report:
    """The findings of one part.

    Attributes:
        path: JSON file that is written anew after every finding.
        small: whether the sizes are those of a trial on a CPU.
        absolute: whether absolute speeds are kept; otherwise their ratios alone.
        values: named numbers and texts.
        rows: of the table of ratios.
        notes: sentences.
        state: `cut off` until `finish` is called, so that a part that was stopped says so.
    """

    path: Path
    small: bool = False
    absolute: bool = True
    values: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    state: str = "cut off"
    seconds: float | None = None

    def value(self, name: str, value: Any) -> None:
        """Keeps a number or a text."""
        self.values[name] = value
        self.write()

    def speed(self, name: str, value: float) -> None:
        """Keeps an absolute speed or time, where such are kept."""
        if self.absolute:
            self.value(name, value)

    def row(self, row: Row) -> None:
        """Adds a row to the table."""
        self.rows.append(row if self.absolute else row.ratio_alone())
        self.write()

    def note(self, text: str) -> None:
        """Adds a sentence."""
        self.notes.append(text)
        self.write()

    def finish(self, state: str = "done") -> None:
        """Says that the part came to its end, and how."""
        self.state = state
        self.write()

    def write(self) -> None:
        """Writes the file, whole or not at all."""
        content = asdict(self) | {"path": self.path.name}
        write_text(self.path, json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Report":
        """What `write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8")) | {"path": path}
        content["rows"] = [Row(**row) for row in content["rows"]]
        return cls(**content)

    def text(self) -> str:
        """The findings for a reader."""
        time = "" if self.seconds is None else f", {self.seconds:.0f} s"
        small = ", small sizes" if self.small else ""
        lines = [f"== {self.path.stem}: {self.state}{time}{small}"]
        lines += [f"{name}: {_shown(value)}" for name, value in self.values.items()]
        return "\n".join([*lines, *([table(self.rows)] if self.rows else []), *self.notes]) + "\n"


def write_summary(folder: Path, names: Iterable[str]) -> None:
    """`results.txt` and `results.json` of the parts whose files lie in the folder."""
    paths = [folder / f"{name}.json" for name in names]
    reports = [Report.read(path) for path in paths if path.is_file()]
    write_text(folder / "results.txt", "\n".join(report.text() for report in reports))
    content = {report.path.stem: json.loads(report.path.read_text(encoding="utf-8")) for report in reports}
    write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")


def _finite(content: Any) -> Any:
    """The same with texts for infinities and NaN, which JSON has not."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return str(content) if isinstance(content, float) and not math.isfinite(content) else content


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return str(value)
