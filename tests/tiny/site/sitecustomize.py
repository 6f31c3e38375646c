"""Python imports this at its start where this folder is on PYTHONPATH: the process knows the method `tiny`."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[3])

# The folder of the script follows later, and some distribution may have brought a package `tests`.
sys.path.insert(0, ROOT)
from tests.tiny.register import register  # noqa: E402

sys.path.remove(ROOT)
register()
