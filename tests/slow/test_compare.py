"""A row of the table of all methods as its script makes it, from the street to the JSON: 2 minutes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import compare_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("row", ["featdepth", "epcdepth"])
def test_a_small_row(backend, tmp_path, row):
    """Of two stages, which share the seconds."""
    variables = {"TOOLBOX_PYTHON": sys.executable, "LOG_DIR": str(tmp_path), "BACKEND": backend.name}
    variables |= {"SEED": "1", "COMPARE_SECONDS": "60", "OMP_NUM_THREADS": "1"}
    command = ["bash", str(ROOT / "configs" / "compare.sh"), row, "--small"]
    subprocess.run(command, env=os.environ | variables, check=True, timeout=1800)
    path = tmp_path / "compare_small" / f"{row}_{backend.name}_1.json"
    content = json.loads(path.read_text())
    first = {"featdepth": "autoencoder", "epcdepth": "hints"}[row]
    assert list(content["seconds"]) == [first, "depth"] and content["steps"]["depth"] > 0
    # A step is not broken off, and what a run writes at its end comes on top.
    assert 40 < sum(content["seconds"].values()) < 120
    assert content["metric"] and content["metrics_in_metres"]["abs_rel"] > 0
    assert f"| `{row}`" in compare_table.markdown(compare_table.read_rows(path.parent), "en")
