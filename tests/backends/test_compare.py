"""The table of all methods: a row of `tiny` made here, the table of made rows, the script's commands."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import compare, compare_table
from core.errors import UserError
from core.evaluation.metrics import METRIC_NAMES
from core.options.methods import OPTIONS
from core.options.parsing import parse, parse_method
from tests.scripts import succeeds

ROOT = Path(__file__).resolve().parents[2]
ROWS = compare.rows()  # before tests add methods of their own
YARDSTICKS = {name: dict.fromkeys(METRIC_NAMES, 0.4) for name in ("best constant depth", "best row")}


def here(script: str, words: compare.Words) -> float:
    """Runs it in this process, and says it took a second."""
    succeeds(script, *words, here=True)
    return 1.0


def test_a_row_is_trained_evaluated_and_kept(backend, tiny, drive, tmp_path, monkeypatch):
    """The run ends by its seconds, which this process has used up long ago: after one step."""
    (tmp_path / "demo.yml").write_text("method: tiny\nbatch_size: 2\nnum_workers: 0\n")
    monkeypatch.setitem(compare.RECIPES, "tiny", compare.Recipe(str(tmp_path / "demo.yml")))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    words = ["--data_path", str(drive), "--log_dir", str(tmp_path), "--output", str(tmp_path / "rows")]
    options = parse(compare.CompareOptions, ["tiny", "--backend", backend.name, "--seconds", "0.01", *words])
    path = compare.make_row(options, here)
    assert path == tmp_path / "rows" / f"tiny_{backend.name}_0.json"
    row = json.loads(path.read_text())
    assert row["steps"] == {"depth": 1} and row["seconds"] == {"depth": 1.0} and row["needs"] == ["video"]
    assert (row["height"], row["width"], row["metric"], row["metrics_in_metres"]) == (64, 192, False, None)
    measured = json.loads((tmp_path / f"compare_tiny_{backend.name}_0_depth" / "metrics.json").read_text())
    assert row["metrics"] == measured["variants"]["depth_gt"]["mean"]
    assert row["recipe"] == [str(tmp_path / "demo.yml"), "--height", "64", "--width", "192"]
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    assert (row["commit"] or "").rstrip("+") == commit.stdout.strip()
    assert row["machine"]["threads"] == 2 and row["parameters"]["depth"] > 0
    assert len(row["yardsticks"]) == 3 and row["yardsticks"]["best constant depth"]["abs_rel"] > 0
    table = compare_table.markdown(compare_table.read_rows(path.parent), "en")
    assert "| median depth per pixel |" in table and f"| {row['metrics']['abs_rel']:.3f} |" in table
    with pytest.raises(UserError, match="that row is there already; remove it first"):
        compare.make_row(options, here)


def made_row(name: str, abs_rel: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    """A row as the file has it, without a training."""
    metrics = dict.fromkeys(METRIC_NAMES, 0.5) | {"abs_rel": abs_rel}
    machine = {"processor": "a processor", "cores": 2, "threads": 1}
    content = {"row": name, "backend": "torch", "seed": seed, "metrics": metrics, "metrics_in_metres": None}
    content |= {"allowed_seconds": 480.0, "width": 192, "height": 64, "needs": ["stereo"], "machine": machine}
    content |= {"steps": {"depth": 9}, "seconds": {"depth": 470.0}, "yardsticks": YARDSTICKS}
    return content | {"parameters": {"depth": 14_300_000, "all": 25_000_000}} | more


def test_differences_below_the_range_of_the_seeds_are_none(tmp_path):
    for seed, abs_rel in enumerate((0.18, 0.20, 0.19)):
        write(tmp_path, made_row("monodepth2", abs_rel, seed))
    write(tmp_path, made_row("near", 0.209))
    hints = {"seconds": {"hints": 100.4, "depth": 379.0}, "metrics_in_metres": {"abs_rel": 0.3}}
    write(tmp_path, made_row("far", 0.211, needs=["stereo", "hints"], **hints))
    rows = compare_table.read_rows(tmp_path)
    assert [row["row"] for row in rows] == [*3 * ["monodepth2"], "near", "far"]
    table = compare_table.markdown(rows, "en")
    assert "| `near` | 0 | stereo | 9 | 14.3, 25.0 | 0.209 |" in table
    assert [line.split(" | ")[-1] for line in table.splitlines() if "near" in line] == ["none |"]
    far = next(line for line in table.splitlines() if "`far`" in line)
    assert "stereo, hints | hints 100 s + 9 |" in far and far.endswith("| 0.300 | +0.021 |")
    assert "0.180 to 0.200" in table and "smaller than 0.020 is called none" in table
    chinese = compare_table.markdown(rows, "zh")
    assert "| 双目, 深度提示 |" in chinese and "无差异" in chinese
    assert len(chinese.splitlines()) == len(table.splitlines())


def test_two_seeds_are_no_bar_and_rows_say_their_commit(tmp_path):
    for seed, abs_rel in enumerate((0.18, 0.20)):
        write(tmp_path, made_row("monodepth2", abs_rel, seed, commit="0123456789abcdef" + "+" * seed))
    write(tmp_path, made_row("other", 0.3))  # of before rows said it
    table = compare_table.markdown(compare_table.read_rows(tmp_path), "en")
    assert "The bar is not measured yet: it takes three seeds" in table
    assert "Commits: 012345678, 012345678+." in table


def variants_of(*seeds: tuple[str, float]) -> str:
    rows = [made_row(f"featdepth{ending}", value, seed) for seed, (ending, value) in enumerate(seeds)]
    return compare_table.variants(rows, compare_table.VARIANTS["featdepth"], "en")


def test_variants_differ_by_more_than_the_range_of_three_seeds_or_not():
    baseline = [("_baseline", value) for value in (0.20, 0.21, 0.22)]
    table = variants_of(*baseline, ("", 0.19), ("", 0.20), ("", 0.195), ("_joint", 0.25))
    assert table.count("| `baseline` (192x64) |") == 3 and "| best row |" in table
    assert (
        "`mono_fm` against `baseline`: abs_rel 0.195 against 0.210" in table and "**no difference**" in table
    )
    assert "`mono_fm_joint` against `baseline`: abs_rel 0.250" in table and "**higher** by 0.040" in table
    assert "**lower** by 0.030" in variants_of(*baseline, ("", 0.18))
    few = variants_of(*baseline[:2], ("", 0.1), ("", 0.1))
    assert (
        "not known before one of them has three seeds" in few and "Not measured yet:** `mono_fm_joint`" in few
    )
    assert "Not measured yet:** `baseline`, `mono_fm`, `mono_fm_joint`." in compare_table.variants(
        [made_row("monodepth2", 0.2)], compare_table.VARIANTS["featdepth"], "en"
    )


def write(folder: Path, row: dict[str, Any]) -> None:
    (folder / f"{row['row']}_{row['backend']}_{row['seed']}.json").write_text(json.dumps(row))


def test_what_is_no_row_or_of_another_street_is_refused(tmp_path):
    write(tmp_path, made_row("one", 0.2))
    other = {name: metrics | {"abs_rel": 0.41} for name, metrics in YARDSTICKS.items()}
    write(tmp_path, made_row("two", 0.2, yardsticks=other))
    with pytest.raises(UserError, match=r"two_torch_0\.json: was made on another street than one"):
        compare_table.read_rows(tmp_path)
    write(tmp_path, made_row("two", 0.2, allowed_seconds=40.0))
    with pytest.raises(UserError, match=r"two_torch_0\.json: had other processor seconds than one"):
        compare_table.read_rows(tmp_path)
    (tmp_path / "two_torch_0.json").write_text('{"row": "two"}')
    with pytest.raises(UserError, match=r"two_torch_0\.json: is no row of the comparison"):
        compare_table.read_rows(tmp_path)


def test_the_readmes_hold_the_table_of_the_rows(tmp_path):
    """After a new row: python -m benchmarks.compare --update."""
    rows = compare_table.read_rows(compare.ROWS_FOLDER)
    names = [f"{folder}{name}" for folder in ("", "featdepth/") for name in ("README.md", "README.zh-CN.md")]
    (tmp_path / "featdepth").mkdir()
    for name in names:
        (tmp_path / name).write_text((ROOT / "configs" / name).read_text())
    assert compare_table.update(rows, tmp_path) == [tmp_path / name for name in names]
    for name in names:
        assert (tmp_path / name).read_text() == (ROOT / "configs" / name).read_text()


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_words_that_train_understands(name, tmp_path, monkeypatch):
    """Stages share the seconds: what the first ones took is not there for the last."""
    options = compare.CompareOptions(row=name, data_path="street", log_dir=str(tmp_path))
    recorded: list[tuple[str, list[str]]] = []

    def record(script: str, words: compare.Words) -> float:
        recorded.append((script, [*map(str, words)]))
        return 100.0

    monkeypatch.setattr(compare, "last_weights", lambda folder: (folder / "weights", 7))
    training = compare.Training(options, compare.RECIPES.get(name, compare.Recipe()), record)
    assert training.run() == tmp_path / f"compare_{name}_torch_0_depth" / "weights"
    trained = [parse_method(words) for script, words in recorded if script == "train.py"]
    assert trained[-1].has_depth if hasattr(trained[-1], "has_depth") else trained
    size = (96, 288) if name == "featdepth_joint" else (64, 192)  # the least height that has all features
    assert (trained[-1].height, trained[-1].width) == size and not trained[-1].imagenet()
    assert trained[-1].max_cpu_seconds == 480 - 100 * (len(recorded) - 1)
    assert trained[-1].method == (name if name in OPTIONS else name.partition("_")[0])
    assert set(compare.needed(trained[-1])) <= set(compare_table.WORDS["zh"])
    if name == "featdepth":
        assert trained[-1].extractor.endswith("autoencoder/weights") and trained[0].max_cpu_seconds == 120
    if name == "epcdepth":
        assert trained[-1].depth_hints.endswith("_hints")


def test_the_script_renders_and_makes_a_row(tmp_path):
    log, stand_in = tmp_path / "commands", tmp_path / "python"
    stand_in.write_text(f'#!/usr/bin/env bash\nprintf "%q " "$OMP_NUM_THREADS" "$@" >>{log}\necho >>{log}\n')
    stand_in.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "TOOLBOX_PYTHON": str(stand_in), "LOG_DIR": str(tmp_path)}
    for words, seconds in ((["epcdepth"], 480), (["epcdepth", "--small"], 40)):
        log.write_text("")
        script = ["bash", str(ROOT / "configs" / "compare.sh"), *words]
        subprocess.run(script, env=environment | {"SEED": "2"}, capture_output=True, check=True)
        recorded = [shlex.split(line) for line in log.read_text().splitlines()]
        assert [command[1] for command in recorded] == ["render_drive.py", "export_gt_depth.py", "-m"]
        assert {command[0] for command in recorded} == {"1"}
        options = parse(compare.CompareOptions, recorded[-1][3:])
        assert (options.row, options.seed, options.seconds) == ("epcdepth", 2, seconds)
        assert (Path(options.output) == compare.ROWS_FOLDER) == (seconds == 480)
    refused = subprocess.run(script[:2], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and refused.stderr.startswith("error: no method")
    environment["DATA_PATH"] = str(tmp_path)  # nothing is rendered into it
    refused = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "rows are of the rendered street alone" in refused.stderr


def test_demos_say_their_method():
    """A row is told by its method's demo alone."""
    for name in ROWS:
        config = ROOT / (compare.RECIPES.get(name, compare.Recipe()).config or f"configs/{name}/demo.yml")
        found = yaml.safe_load(config.read_text()).get("method", "monodepth2")
        assert name.startswith(found)
