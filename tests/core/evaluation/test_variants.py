"""All variants of a prediction in one table: the numbers of one run each, from two passes of the network."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backends
import core.weights.zoo
import evaluate_depth
from core.datasets.ground_truth import SparseDepth, save_ground_truth
from core.datasets.splits import load_split
from core.errors import UserError
from core.options.needs import Needs, Preparation
from tests.scripts import assert_says

SIZE = (20, 60)
COUNT = 3


class Fake:
    """A predictor that counts what it is asked; depth follows the brightness, and does not fit that of the mirror."""

    options = SimpleNamespace(
        stereo_scale_factor=5.4,
        is_metric=True,
        needs=lambda part: Needs(),
        preparation=lambda part: Preparation(*SIZE),
    )
    passes = 0

    def disparity(self, images: np.ndarray, post_process: bool = False) -> np.ndarray:
        return self.disparity_pair(images)[int(post_process)]

    def disparity_pair(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        Fake.passes += 2
        disparity = 1 / (images[..., 0].astype(np.float32) + 1)
        return disparity, (0.7 * disparity + 0.3 * disparity[:, ::-1]).astype(np.float64)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, a list of them, their depth, and disparities."""
    rng = np.random.default_rng(0)
    (tmp_path / "split").mkdir()
    (tmp_path / "drive").mkdir()
    for number in range(COUNT):
        Image.fromarray(rng.integers(1, 60, (*SIZE, 3), np.uint8)).save(tmp_path / "drive" / f"{number}.png")
    (tmp_path / "split" / "test_files.txt").write_text("".join(f"drive {n} l\n" for n in range(COUNT)))
    lines = load_split(str(tmp_path / "split"), "test")
    maps = [SparseDepth.from_dense(rng.uniform(1, 90, (30, 80)).astype(np.float32), line) for line in lines]
    save_ground_truth(tmp_path / "truth.npz", maps)
    np.save(tmp_path / "d.npy", rng.uniform(0.02, 0.9, (COUNT, *SIZE)))
    monkeypatch.setattr(backends, "load_predictor", lambda _: Fake())
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)
    return tmp_path


def run(drive: Path, *more: str) -> dict[str, Any]:
    words = ["--data_path", str(drive), "--dataset", "folder", "--eval_split", str(drive / "split")]
    words += ["--ground_truth", str(drive / "truth.npz"), "--output", str(drive / "m.json")]
    evaluate_depth.main([*words, "--num_workers", "0", "--batch_size", "2", *more])
    return json.loads((drive / "m.json").read_text())


RUNS = {
    "depth": ["--disable_median_scaling"],
    "depth_pp": ["--disable_median_scaling", "--post_process"],
    "depth_gt": [],
    "depth_pp_gt": ["--post_process"],
}


@pytest.mark.parametrize("unit", ["--eval_mono", "--eval_stereo"])
def test_the_numbers_of_one_run_each(drive: Path, unit: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = ["--protocol", "sc_depth", "--load_weights_folder", "w"]
    Fake.passes = 0
    found = run(drive, *network, unit, "--variants", "--pred_depth_scale_factor", "0.5")
    assert Fake.passes == 2 * 2  # of two batches
    printed = capsys.readouterr().out.splitlines()
    assert list(found["variants"]) == list(RUNS)
    values = set()
    for row, (name, more) in zip(printed[2:], RUNS.items(), strict=True):
        more = [unit if "gt" not in name else "--eval_mono", *more]
        single = run(drive, *network, *more, "--pred_depth_scale_factor", "0.5")
        variant = found["variants"][name]
        assert variant["mean"] == single["mean"] and variant["per_image"] == single["per_image"]
        assert variant["scaling"] == single["scaling"] and variant["valid_pixels"] == single["valid_pixels"]
        assert variant["scale_ratio"] == single["scale_ratio"]
        assert variant["scale_by_sequence"].keys() == ({"drive"} if "gt" in name else set())
        assert found["protocol"] == single["protocol"] and found["lines"] == single["lines"]
        assert row.split()[0] == name and f"{single['mean']['abs_rel']:8.3f}" in row
        values.add(single["mean"]["abs_rel"])
    assert len(values) == 4 and found["images"] == COUNT
    assert_says(printed[0], "protocol sc_depth | split", "_pp: averaged with the mirrored image, _gt: median")
    assert_says(printed[0], "depth x 2.7" if unit == "--eval_stereo" else "depth x 0.5", "| 3 images")
    assert [name.strip() for name in printed[1].split("|")[:-1]] == found["names"]


def test_saved_disparities_have_two(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = ["--ext_disp_to_eval", str(drive / "d.npy"), "--eval_mono"]
    found = run(drive, *saved, "--variants")
    assert list(found["variants"]) == ["depth", "depth_gt"]
    assert "_pp" not in capsys.readouterr().out
    assert found["variants"]["depth_gt"]["mean"] == run(drive, *saved)["mean"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--post_process"], "option post_process: one of the variants"),
        (["--disable_median_scaling"], "option disable_median_scaling: one of the variants"),
        (["--no_eval", "--pictures", "p"], "option no_eval: not of several variants"),
        (["--csv", "a.csv"], "option csv: not of several variants"),
        (["--scale_by_sequence"], "option scale_by_sequence: not of several variants"),
    ],
)
def test_options_that_cannot_work(more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate_depth.main(["--load_weights_folder", "w", "--eval_mono", "--variants", *more])


def test_the_benchmark_has_no_variants() -> None:
    words = ["--eval_split", "benchmark", "--ext_disp_to_eval", "d.npy", "--eval_stereo", "--variants"]
    with pytest.raises(UserError, match="option variants: benchmark measures nothing"):
        evaluate_depth.main(words)
