"""The check for a GPU, as far as seconds on a CPU go; tests/slow/test_gpu_check.py runs all of it."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backends import installed_backends
from benchmarks import Row, pack, rendering, run, table
from benchmarks.parts import PARTS, golden
from benchmarks.parts.demo import METRICS, Follower
from benchmarks.results import Report, write_summary
from core.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
ABSENT = ("paddle", "pooch", "requests", "hypothesis", "tensorboard")  # on the machine that the check is for
# Python imports it at its start. A module that is None in sys.modules would be met by whoever goes through these.
SITE = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {without!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


def check(
    folder: Path, *words: object, without: tuple[str, ...] = ABSENT
) -> subprocess.CompletedProcess[str]:
    """Runs benchmarks/gpu.sh; no process that it starts finds the packages `without`."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE.format(without=without))
    environment = {"TOOLBOX_PYTHON": sys.executable, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "2"}
    return subprocess.run(
        ["bash", str(ROOT / "benchmarks" / "gpu.sh"), *map(str, words)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_a_row_says_how_many_times_better() -> None:
    assert Row.of_rates("job", 2.0, 6.0, "images/s").ratio == 3
    assert Row.of_costs("job", 6.0, 2.0, "GiB").ratio == 3
    alone = Row.of_rates("job", 2.0, 6.0, "images/s", 1e-6).ratio_alone()
    assert (alone.plain, alone.ours, alone.ratio, alone.largest_difference) == (None, None, 3, 1e-6)


def test_the_table_has_a_line_for_each_row() -> None:
    rows = [Row.of_rates("a job", 2.0, 6.0, "images/s", 1e-6), Row("another", None, None, 0.5)]
    head, first, second = table(rows).splitlines()
    assert head.split("  ")[0] == "job" and head.endswith("largest difference")
    assert first.split() == ["a", "job", "2", "images/s", "6", "images/s", "3", "-", "1e-06"]
    assert second.split() == ["another", "-", "-", "0.5", "-", "-"]


def test_a_report_that_is_cut_off_leaves_what_it_had(tmp_path: Path) -> None:
    report = Report(tmp_path / "step.json", small=True)
    report.row(Row.of_rates("a job", 2.0, 6.0, "images/s"))
    report.value("not a number", math.nan)
    found = Report.read(tmp_path / "step.json")
    assert found.state == "cut off" and found.rows == report.rows and found.values == {"not a number": "nan"}
    report.finish()
    write_summary(tmp_path, PARTS)
    assert json.loads((tmp_path / "results.json").read_text())["step"]["state"] == "done"
    text = (tmp_path / "results.txt").read_text()
    assert text.startswith("== step: done, small sizes\n") and "a job" in text


def test_absolute_speeds_are_kept_only_where_they_mean_something(tmp_path: Path) -> None:
    report = Report(tmp_path / "step.json", absolute=False)
    report.row(Row.of_rates("a job", 2.0, 6.0, "images/s"))
    report.speed("images/s", 6.0)
    assert report.values == {} and report.rows == [Row("a job", None, None, 3.0, None, "images/s")]


def test_a_part_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    child = f"import time; time.sleep(2); open({str(mark)!r}, 'w')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with open(tmp_path / "log", "w") as log:
        assert run.wait([sys.executable, "-c", parent], log.fileno(), 0.5) is None
        assert run.wait([sys.executable, "-c", "raise SystemExit(3)"], log.fileno(), 60) == 3
    time.sleep(2)
    assert not mark.exists()


def test_a_part_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state(code: int | None, seconds: float = 20) -> str:
        def begun(*arguments: object) -> int | None:
            Report(tmp_path / "machine.json").note("a finding")
            return code

        monkeypatch.setattr(run, "wait", begun)
        return run.run_part("machine", tmp_path, True, seconds).state

    assert state(None) == "cut off after 20 s"
    assert Report.read(tmp_path / "machine.json").notes == ["a finding"]
    assert state(-11).startswith("failed: exit code -11")
    assert state(0, seconds=1).startswith("not begun")


@pytest.mark.parametrize(
    ("actual", "expected", "bounds", "share", "ratio"),
    [
        ([1.0, 2.5], [1.0, 2.0], (0.5, 0.0), 1.0, 0.5),
        ([1.0, 9.0], [1.0, 2.0], (0.5, 0.0), 0.5, 0.0),
        ([1.0], [1.0], (0.0, 0.0), 1.0, 0.0),
        ([1.5], [1.0], (0.0, 0.0), 1.0, math.inf),
        ([math.nan], [1.0], (1.0, 1.0), 1.0, math.inf),
        ([1.0], [1.0, 1.0], (1.0, 1.0), 1.0, math.inf),
    ],
)
def test_how_near_a_comparison_came_to_its_bound(actual, expected, bounds, share, ratio) -> None:
    assert golden.ratio_to_bound(np.array(actual), np.array(expected), bounds, share) == ratio


def test_what_is_packed_fits(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "CARRY", tmp_path / "carry")
    everything, _ = pack.pack(shared, largest=10**9)  # those of fewer bytes first
    chosen = everything[: everything.index("monodepth2/geometry.npz") + 1]
    largest = sum((tmp_path / "carry/golden" / name).stat().st_size for name in chosen)
    packed, left_out = pack.pack(shared, largest)
    size = sum(path.stat().st_size for path in (tmp_path / "carry").rglob("*") if path.is_file())
    assert pack.RECIPES in packed and "monodepth2/geometry.npz" in packed
    assert "monodepth2/losses.npz" in left_out and size <= largest
    chosen = {path.name for path in pack.complete(pack.recorded_tests(), tmp_path / "carry")}
    assert "test_geometry.py" in chosen and "test_losses.py" not in chosen
    with pytest.raises(UserError, match="no recorded numbers"):
        pack.pack(tmp_path)


def test_the_street_is_rendered_as_the_jobs_ask_for_it(tmp_path: Path) -> None:
    words = rendering.rendering_options()
    assert words[:2] == ["--height", "128"] and len(words) % 2 == 0
    background = rendering.Rendering(tmp_path / "street", tmp_path / "log")
    try:
        background.pause(True)
        assert eventually(lambda: state_of(background.process.pid) == "T")
        background.pause(False)
        assert eventually(lambda: state_of(background.process.pid) != "T")
    finally:
        background.end()
    assert background.process.returncode == -9


def state_of(process: int) -> str:
    """R, S, T for stopped, …"""
    status = Path(f"/proc/{process}/stat")
    if not status.is_file():
        pytest.skip("needs /proc")
    return status.read_text().rpartition(")")[2].split()[0]


def eventually(holds) -> bool:
    """Whether it holds within some seconds."""
    return any(holds() or time.sleep(0.05) for _ in range(200))


def test_the_demonstration_is_followed_as_it_prints(tmp_path: Path) -> None:
    report = Report(tmp_path / "demo.json", absolute=False)
    follow = Follower(report, tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"mean": dict.fromkeys(METRICS, 0.25)}))
    lines = [
        "== train run (0 s)",
        "step 1",
        "== evaluate run (2 s)",
        "…",
        "== the result (3 s)",
        "| a table |",
    ]
    for line in lines:
        follow.line(line)
    assert list(follow.trained) == ["run"] and follow.table == ["| a table |"]
    assert report.values == {"accuracy of run": ", ".join(f"{name} 0.2500" for name in METRICS)}


@pytest.mark.parametrize(
    ("words", "without", "message"),
    [
        ([], (), "error: no output folder: "),
        (["out", "--only", "steps"], (), "error: option --only: 'steps' is none of machine, golden, "),
        (["out"], ("torch",), "error: "),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, words, without, message) -> None:
    done = check(tmp_path, *words, without=without)
    assert done.returncode == 2 and done.stderr.startswith(message) and done.stderr.count("\n") == 1
    assert "torch" not in without or "has no PyTorch" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_first_parts_with_the_packages_of_the_target(shared: Path, tmp_path: Path) -> None:
    if "torch" not in installed_backends():
        pytest.skip("torch is not installed")
    done = check(tmp_path, "out", "--only", "machine", "golden", "--small")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {name: part["state"] for name, part in results.items()} == {"machine": "done", "golden": "done"}
    values = results["golden"]["values"]
    assert values["passed"] > 15 and values["failed"] == 0 and values["skipped"] == 0
    assert values["comparisons"] > 20 and 0 < values["worst ratio to the tolerance"] <= 1
    assert results["machine"]["values"]["relative error of a float32 product"] < 1e-5


def test_the_text_names_every_part_with_its_limit() -> None:
    lines = (ROOT / "benchmarks" / "gpu.md").read_text(encoding="utf-8").splitlines()
    found = [line.split("|")[1:3] for line in lines if line.startswith("| `")]
    assert found == [[f" `{name}` ", f" {part.seconds} s "] for name, part in PARTS.items()]
