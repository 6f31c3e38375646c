"""Prediction and completion in one table of evaluate_depth.py; see `test_variants.py` for its drive."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import backends
import core.weights.zoo
import evaluate_depth
from core.errors import UserError
from core.options.needs import Input, Preparation
from tests.core.evaluation.test_variants import COUNT, SIZE, Fake, drive, run
from tests.scripts import assert_says

__all__ = ["drive"]  # a fixture
ALONE = ["--load_weights_folder", "w", "--eval_mono", "--disable_median_scaling"]


class Completing(Fake):
    """A predictor that believes what it is told, and keeps what it was given."""

    inputs = {"image": Input(3), "input_depth": Input(1, required=False)}  # noqa: RUF012
    method = SimpleNamespace(inputs=inputs)
    options = SimpleNamespace(**vars(Fake.options), method="made_up")
    given: list[np.ndarray] = []  # noqa: RUF012

    def disparity(self, images, post_process=False, inputs=None):
        disparity = super().disparity(images, post_process)
        if not inputs:
            return disparity
        assert list(inputs) == ["input_depth"]
        depth = inputs["input_depth"]
        self.given.append(depth)
        return np.where(depth[:, 0] > 0, 1 / np.where(depth[:, 0] > 0, depth[:, 0], 1), disparity)


@pytest.fixture
def depths(drive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of depth at the size of the images, which are resized to a half."""
    monkeypatch.setattr(backends, "load_predictor", lambda _: Completing())
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)
    half = Preparation(SIZE[0] // 2, SIZE[1] // 2)
    monkeypatch.setattr(Completing.options, "preparation", lambda part: half)
    rng = np.random.default_rng(1)
    (drive / "given").mkdir()
    for number in range(COUNT):
        depth = np.where(rng.random(SIZE) < 0.1, rng.uniform(1, 80, SIZE), 0)
        np.save(drive / "given" / f"{number}.npy", depth.astype(np.float32))
    Completing.given.clear()
    return drive / "given"


def test_rows_of_prediction_and_completion(drive, depths, capsys):
    words = ["--input_depth", str(depths), "--input_depth_points", "0.5", "1", "--disps_path", str(drive)]
    found = run(drive, *ALONE, *words)
    printed = capsys.readouterr().out.splitlines()
    assert list(found["variants"]) == ["prediction", "completion_0.5", "completion"]
    assert [row.split()[0] for row in printed[2:]] == list(found["variants"])
    assert_says(
        printed[0], f"completion: also from depth ({depths})", "completion_0.5: a share of its points"
    )
    assert_says(printed[0], "no median scaling | 3 images")
    assert_says(found["description"], "prediction: from the image alone")
    alone = run(drive, *ALONE)
    assert found["variants"]["prediction"]["mean"] == alone["mean"] and found["lines"] == alone["lines"]
    values = [variant["per_image"] for variant in found["variants"].values()]
    assert values[0] != values[1] != values[2] != values[0]
    some, every = np.concatenate(Completing.given[:2]), np.concatenate(Completing.given[2:])
    assert some.shape == every.shape == (COUNT, 1, SIZE[0] // 2, SIZE[1] // 2) and every.dtype == np.float32
    assert 0 < (some > 0).sum() < 0.7 * (every > 0).sum()
    shown = every[every > 0]
    assert np.isin(shown, np.concatenate([np.load(file).ravel() for file in depths.iterdir()])).all()
    kept = np.load(drive / "disparities.npy")  # of the last row
    np.testing.assert_allclose(kept[every[:, 0] > 0], 1 / shown, rtol=1e-6)


def test_the_same_points_every_time(drive, depths):
    words = [*ALONE, "--input_depth", str(depths), "--input_depth_points", "0.2"]
    assert run(drive, *words) == run(drive, *words, "--batch_size", "3")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--variants"], "option variants: not of several rows"),
        (["--csv", "a.csv"], "option csv: not of several rows"),
        (["--no_eval", "--pictures", "p"], "option no_eval: not of several rows"),
        (["--input_depth_points", "0"], "option input_depth_points: 0.0 is not above 0"),
        (["--input_depth_points", "1", "1"], "has one twice"),
    ],
)
def test_options_that_cannot_work(more, message):
    base = ["--load_weights_folder", "w", "--eval_mono", "--input_depth", "velodyne"]
    with pytest.raises(UserError, match=message):
        evaluate_depth.main([*base, *more])


def test_depth_that_is_not_there(drive, depths, monkeypatch):
    with pytest.raises(UserError, match=r"'velodyne' is no depth of folder \(none\), and no folder"):
        run(drive, *ALONE, "--input_depth", "velodyne")
    Image.new("RGB", (8, 8)).save(drive / "given" / "3.npy", "png")
    with pytest.raises(UserError, match="holds 4 files of depth, but there are 3 images"):
        run(drive, *ALONE, "--input_depth", str(depths))
    with pytest.raises(UserError, match="option input_depth_points: only with --input_depth"):
        run(drive, *ALONE, "--input_depth_points", "0.5")
    with pytest.raises(UserError, match="option input_depth: no network runs"):
        run(drive, "--ext_disp_to_eval", "d.npy", "--eval_mono", "--input_depth", str(depths))
    monkeypatch.setattr(Completing.method, "inputs", {"image": Input(3)})
    with pytest.raises(UserError, match="w: a model of made_up takes image alone; leave out --input_depth"):
        run(drive, *ALONE, "--input_depth", str(depths))
