"""The whole check for a GPU in small sizes, with the packages of the machine that it is for: minutes."""

import json

from benchmarks.parts import PARTS
from tests.test_benchmarks import check


def test_every_part_comes_to_its_end(tmp_path, shared):
    done = check(tmp_path, "out", "--small")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {name: part["state"] for name, part in results.items()} == dict.fromkeys(PARTS, "done")
    jobs = {row["job"]: row for part in results.values() for row in part["rows"]}
    assert all(row["ratio"] > 0 for row in jobs.values())
    assert jobs["step, float32"]["largest_difference"] < 1e-5
    assert jobs["prediction from files, batch 16, float32"]["largest_difference"] < 1e-5
    assert results["resume"]["values"]["killed and continued: tensors that differ from the whole run"] == 0
    accuracies = [name for name in results["demo"]["values"] if name.startswith("accuracy of ")]
    assert len(accuracies) == 3
