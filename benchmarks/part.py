"""One part of the check in a process of its own: python -m benchmarks.part PART OUTPUT_FOLDER [small]."""

import importlib
import sys
from pathlib import Path

from benchmarks.results import Report
from core.errors import UserError


def main() -> int:
    """Measures, and writes how it ended."""
    from benchmarks.setting import Setting, keep_float32

    name, output, small = sys.argv[1], Path(sys.argv[2]), "small" in sys.argv[3:]
    report = Report(output / f"{name}.json", small)
    setting = Setting(output, report, small)
    report.absolute = setting.on_gpu
    report.write()
    keep_float32()
    try:
        importlib.import_module(f"benchmarks.parts.{name}").measure(setting)
    except UserError as error:
        report.finish(f"failed: {error}")
        return 1
    except Exception as error:
        report.finish(f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}; see {name}.log")
        raise
    report.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
