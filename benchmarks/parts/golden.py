"""The recorded numbers of every method: the tests marked `every_device`, with the worst ratio to their tolerance."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.pack import CARRY, MARKER, ROOT, SHARED, complete, recorded_tests
from core.errors import UserError

if TYPE_CHECKING:
    from benchmarks.setting import Setting

SMALL = ("test_geometry.py",)  # seconds on a CPU
NAMED = 5  # comparisons that came nearest to their bound, and failures


def measure(setting: "Setting") -> None:
    """Runs the tests of the GPU, or of the CPU where there is none."""
    shared = next((folder for folder in (SHARED, CARRY) if (folder / "golden").is_dir()), None)
    if shared is None:
        raise UserError(
            "no recorded numbers: copy benchmarks/carry/ along, which python -m benchmarks.pack makes"
        )
    tests = [path for path in recorded_tests() if not setting.small or path.name in SMALL]
    chosen = complete(tests, shared)
    recorder = Recorder(setting, shared)
    left_out = [path.name for path in tests if path not in chosen]
    setting.report.value("left out, their numbers are not here", left_out)
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-m", MARKER, "--backend", "torch"]
    pytest.main([*words, *map(str, chosen)], plugins=[recorder])
    recorder.write()
    if recorder.failed:
        raise UserError(f"{len(recorder.failed)} of the recorded numbers differ; see golden.log")


class Recorder:
    """A plugin of pytest: finds the recorded numbers, keeps to one device, counts, and measures how close it was."""

    def __init__(self, setting: "Setting", shared: Any) -> None:
        self.setting, self.shared = setting, shared
        self.passed = self.skipped = self.comparisons = 0
        self.failed: list[str] = []
        self.ratios: dict[str, float] = {}
        self.current = ""

    def pytest_configure(self, config: pytest.Config) -> None:
        """Wraps the one comparison that all tests use, before they import it."""
        from tests import tolerances

        compare = tolerances.assert_close

        def measured(
            actual: Any, expected: Any, tolerance: Any = "formula", share: float = 1.0, label: str = ""
        ):
            bounds = tolerances.TOLERANCES[tolerance] if isinstance(tolerance, str) else tolerance
            self.compared(ratio_to_bound(actual, expected, bounds, share), label)
            compare(actual, expected, tolerance, share, label)

        tolerances.assert_close = measured

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Takes the packed folder for the shared one, and one device for all."""
        sys.modules["tests.conftest"].SHARED = self.shared
        if self.setting.on_gpu:
            items[:] = [item for item in items if device_of(item) != "cpu"]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.current = item.name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts, and writes what there is."""
        if report.failed:
            self.failed.append(report.nodeid.rpartition("/")[2])
        elif report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.passed += 1
        self.write()

    def compared(self, ratio: float, label: str) -> None:
        """Takes note of one comparison."""
        self.comparisons += 1
        name = f"{self.current} {label}".strip()
        self.ratios[name] = max(ratio, self.ratios.get(name, 0.0))

    def write(self) -> None:
        """Counts and the comparisons nearest to their bound."""
        report = self.setting.report
        nearest = sorted(self.ratios.items(), key=lambda pair: -pair[1])[:NAMED]
        report.values |= {
            "passed": self.passed,
            "failed": len(self.failed),
            "skipped": self.skipped,
            "comparisons": self.comparisons,
            "worst ratio to the tolerance": nearest[0][1] if nearest else None,
            "nearest to it": [f"{name} {ratio:.2g}" for name, ratio in nearest],
        }
        if self.failed:
            report.values["failures"] = self.failed[:NAMED]
        report.write()


def device_of(item: pytest.Item) -> str | None:
    """The device that a test was parametrised with."""
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("backend")


def ratio_to_bound(actual: Any, expected: Any, bounds: tuple[float, float], share: float) -> float:
    """Error over tolerance, of the worst element of the share that must agree; infinite where nothing can be said."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    if expected.size == 0:
        return 0.0
    bound = bounds[0] * np.abs(expected).max() + bounds[1]
    error = float(np.quantile(np.abs(actual - expected), share, method="inverted_cdf"))
    return error / bound if bound > 0 else (0.0 if error == 0 else float("inf"))
