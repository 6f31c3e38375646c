"""One benchmark in a process of its own: python -m benchmarks.job NAME FILE. Adds its rows to the file, one a line."""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    """Measures; every row is written as soon as it is there, for the process may be stopped."""
    name, file = sys.argv[1], Path(sys.argv[2])
    with file.open("a", encoding="utf-8") as rows:
        for row in importlib.import_module(f"benchmarks.jobs.{name}").measure():
            rows.write(json.dumps(row.as_json()) + "\n")
            rows.flush()


if __name__ == "__main__":
    main()
