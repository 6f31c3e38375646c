"""The comparison in two forms: a table to read, and a JSON certificate with every number."""

import datetime
import hashlib
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

from core.parity.bounds import LEARNING_RATE, PRECISIONS, SECTIONS
from core.parity.comparison import Check, Item
from core.parity.request import Request
from core.parity.results import Result, digest

CELL = 15
FIXED = ("height", "width", "batch_size", "seed", "load_weights_folder")


def versions(results: dict[str, Result], threads: int) -> str:
    """One line: who computed, and on what."""
    named = " and ".join(f"{name} {result['version']}" for name, result in results.items())
    return f"{named}, {threads} {'thread' if threads == 1 else 'threads'} each, {processor()}"


def table(checks: list[Check]) -> str:
    """One line per section (layers: per network), then one per failure; at most about 100 columns."""
    rows = dict.fromkeys((check.section, check.network) for check in checks)
    head = f"{'':26}{'float32 / bound':{CELL}}  {'float64 / bound':{CELL}}         closest to its bound"
    lines = [head.rstrip()]
    for section, network in rows:
        lines.append(
            _row([check for check in checks if (check.section, check.network) == (section, network)])
        )
    failed = [check for check in checks if not check.passed]
    lines += [_complaint(check) for check in failed]
    lines.append(
        f"{len(failed)} of {len(checks)} checks FAILED" if failed else f"all {len(checks)} checks passed"
    )
    return "\n".join(lines)


def _row(checks: list[Check]) -> str:
    section = SECTIONS[checks[0].section]
    title = f"{section.title.format(network=checks[0].network)} ({len(checks[0].items)})"
    by_precision = {check.precision: check for check in checks}
    cells = "  ".join(f"{_cell(by_precision.get(precision)):{CELL}}" for precision in PRECISIONS)
    verdict = "ok" if all(check.passed for check in checks) else "FAIL"
    closest = max(checks, key=_share)
    where = closest.telling.name if closest.bound or not closest.passed else ""
    return f"{title:26}{cells}  {verdict:5}  {where}".rstrip()


def _cell(check: Check | None) -> str:
    if check is None:
        return ""
    if check.bound == 0:
        return "identical" if check.passed else "different"
    difference = check.telling.difference
    shown = f"{difference:.1e}" if math.isfinite(difference) else "n/a"
    return f"{shown} / {check.bound:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def _share(check: Check) -> float:
    """How much of its bound a check needs; a failed one more than any other."""
    if check.bound == 0:
        return 0.0 if check.passed else math.inf
    return check.telling.difference / check.bound


def _complaint(check: Check) -> str:
    what = "first diverging layer" if check.section == "layers" else "first beyond the bound"
    item = check.telling
    size = item.remark or f"{item.difference:.1e} of its largest value, bound {check.bound:g}"
    title = SECTIONS[check.section].title.format(network=check.network)
    return f"FAIL {title}, {check.precision}: {what} {item.name} ({size})"


def certificate(
    request: Request, results: dict[str, Result], checks: list[Check], threads: int
) -> dict[str, Any]:
    """Everything, as types that `json` writes: verdict, machine, versions, digests, options, and every difference."""
    return {
        "passed": all(check.passed for check in checks),
        "description": request.options.describe(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "backends": {name: str(result["version"]) for name, result in results.items()},
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.platform(),
        "processor": processor(),
        "threads": threads,
        "options": {
            name: getattr(request.options, name) for name in ("method", *FIXED, *request.options.MODEL)
        },
        "learning_rate_of_steps": LEARNING_RATE,
        "sha256_of_inputs": {name: str(digest(array)) for name, array in request.batch.items()},
        "sha256_of_weights": {name: weight_digests(result) for name, result in results.items()},
        "checks": [_check(check) for check in checks],
    }


def weight_digests(result: Result) -> dict[str, str]:
    """One sha256 for each network: that of its tensors' digests, by official name."""
    contents: dict[str, Any] = {}
    for key, value in sorted(result.items()):
        if key.startswith("weights/"):
            _, _, network, name = key.split("/", 3)
            contents.setdefault(network, hashlib.sha256()).update(f"{name} {value}\n".encode())
    return {network: content.hexdigest() for network, content in contents.items()}


def processor() -> str:
    """The CPU's model, as the system calls it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _check(check: Check) -> dict[str, Any]:
    telling = check.telling
    return {
        "section": check.section,
        "title": SECTIONS[check.section].title.format(network=check.network),
        "precision": check.precision,
        "bound": check.bound,
        "reason": SECTIONS[check.section].reason,
        "passed": check.passed,
        "first_diverging" if not check.passed else "largest": telling.name,
        "difference": _number(telling.difference),
        "items": [_entry(item) for item in check.items],
    }


def _entry(item: Item) -> dict[str, Any]:
    entry = {
        "name": item.name,
        "difference": _number(item.difference),
        "largest_value": _number(item.largest),
    }
    return entry | ({"remark": item.remark} if item.remark else {})


def _number(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None
