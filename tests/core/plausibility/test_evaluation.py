"""What evaluations compare, in which unit, and by whose rules; and how fine pictures of depth are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.splits import load_split
from core.errors import UserError
from core.evaluation.disparity_files import free_path, read_unit, save_unit
from core.options import OPTIONS, EvaluationOptions, PredictionOptions
from core.options.base import published_name
from core.options.parsing import save_options
from core.options.protocols import of_split
from core.plausibility import checks
from core.plausibility.evaluation import check_direction, rank_correlation
from core.prediction.files import PredictionWriter
from tests.scripts import refused, run_here, succeeds


def words(rendered: Path, predictions: Path, *more: object) -> list[object]:
    split = ["--eval_split", rendered / "splits", "--data_path", rendered, "--png"]
    return ["evaluate_depth.py", "--ext_disp_to_eval", predictions, *split, *more]


# ---- the direction -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [lambda d: 1 / d, lambda d: d.max() + 0.01 - d, lambda d: np.exp(-d * 10)])
def test_prediction_and_truth_in_opposite_directions(rendered, perfect, tmp_path, spoil):
    """W9b: abs_rel 1.188 in place of 0.001."""
    np.save(tmp_path / "depth.npy", spoil(np.load(perfect)))
    done = run_here(*words(rendered, tmp_path / "depth.npy", "--eval_mono"))
    assert (
        done.returncode == 0
        and "depth.npy: prediction and truth run in opposite directions in all 2" in done.stderr
    )
    assert done.stderr.count("\n") == 1
    variants = run_here(*words(rendered, tmp_path / "depth.npy", "--eval_mono", "--variants"))
    assert "opposite directions" in variants.stderr
    quiet = run_here(*words(rendered, tmp_path / "depth.npy", "--eval_mono", "--accept", "depth_direction"))
    assert quiet.stderr == "" and "accepted: depth_direction" in quiet.stdout


def test_predictions_that_only_are_bad_pass(rendered, perfect, tmp_path):
    noise = np.random.default_rng(0).uniform(0.5, 2, np.load(perfect).shape)
    for number, other in enumerate((np.load(perfect) ** 0.5, noise, noise * 0 + 0.1)):
        np.save(tmp_path / f"{number}.npy", other)
        succeeds(*words(rendered, tmp_path / f"{number}.npy", "--eval_mono"), here=True)


def test_rank_correlation():
    values = np.random.default_rng(0).uniform(1, 80, 5000)
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(1 / values, values) == pytest.approx(-1)
    assert np.isnan(rank_correlation(values * 0 + 1, values)) and np.isnan(
        rank_correlation(values[:9], values[:9])
    )
    check_direction("a", np.array([-0.9, 0.1, -0.9]))  # not in all
    check_direction("a", np.array([np.nan, np.nan]))
    assert checks.warnings() == []


# ---- the unit of saved disparities -------------------------------------------------------------------------------


def options_of(**values: object):
    method = next(iter(OPTIONS.values()))
    return method(**({"dataset": "folder", "use_stereo": True, "frame_ids": [0]} | values))


@pytest.mark.parametrize(("baseline", "factor"), [(0.12, 1.2), (0.0049, 0.049), (0.54, 5.4)])
def test_saved_disparities_have_the_unit_of_their_weights(rendered, perfect, tmp_path, baseline, factor):
    """W9: by `options.yaml` beside them."""
    save_options(options_of(baseline=baseline), tmp_path / "options.yaml")
    printed = succeeds(*words(rendered, perfect, "--eval_stereo", "--accept", "truth_unit"), here=True)
    assert f"depth x {factor:g}" in printed


def test_the_file_beside_them_says_it(rendered, perfect):
    save_unit(perfect, 2.5, {"split": "a"})
    assert read_unit(perfect) == 2.5
    assert "depth x 2.5" in succeeds(*words(rendered, perfect, "--eval_stereo"), here=True)
    perfect.with_suffix(".json").write_text('{"metres_per_unit": -1}')
    with pytest.raises(UserError, match="metres_per_unit must be above 0"):
        read_unit(perfect)


def test_own_images_without_a_unit_are_refused(rendered, perfect, tmp_path):
    more = ["--eval_stereo", "--dataset", "folder", "--ground_truth", rendered / "splits" / "gt_depths.npz"]
    message = refused(*words(rendered, perfect, *more)[:-1], more[-1], folder=tmp_path, here=True)
    assert (
        "nothing says how many metres its unit has" in message
        and "--pred_depth_scale_factor METRES" in message
    )


def test_kitti_s_are_as_ever(rendered, perfect):
    assert "depth x 5.4" in succeeds(*words(rendered, perfect, "--eval_stereo"), here=True)


def test_results_of_two_data_sets_lie_apart(tmp_path):
    """M8."""
    first, second = {"split": "a", "data_path": "x"}, {"split": "b", "data_path": "x"}
    path = tmp_path / "disps_splits_split.npy"
    for origin, name in (
        (first, path.name),
        (second, "disps_splits_split_2.npy"),
        (second | {"split": "c"}, "disps_splits_split_3.npy"),
    ):
        assert free_path(path, origin).name == name
        save_unit(free_path(path, origin), 5.4, origin)
    assert free_path(path, first) == path and free_path(path, second).name == "disps_splits_split_2.npy"


# ---- folders called like published lists -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["benchmark", "eigen", "eigen_benchmark"])
def test_a_folder_called_like_a_published_list(tmp_path, rendered, perfect, name):
    """M8."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "test_files.txt").write_text((rendered / "splits" / "test_files.txt").read_text())
    given = EvaluationOptions(
        eval_split=str(folder), ground_truth="gt.npz", eval_mono=True, ext_disp_to_eval="a.npy"
    )
    given.validate()
    assert given.chosen_protocol.subject.crop.name == "none" and given.reader == "kitti"
    truth = rendered / "splits" / "gt_depths.npz"
    command = ["evaluate_depth.py", "--eval_split", folder, "--ext_disp_to_eval", perfect, "--eval_mono"]
    assert "| crop none |" in succeeds(*command, "--ground_truth", truth, here=True)


def test_published_lists_in_folders_keep_their_rules(tmp_path):
    for name in ("eigen", "eigen_benchmark"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_files.txt").write_text(
            "".join(f"{line}\n" for line in load_split(name, "test"))
        )
        assert published_name(str(tmp_path / name)) == name
    assert (
        of_split(str(tmp_path / "eigen")).subject.crop.name == "garg"
        and published_name("my/benchmark/") == "benchmark"
    )


# ---- pictures of depth -------------------------------------------------------------------------------------------


def picture(tmp_path: Path, depth: np.ndarray, factor: float, largest: float = 100.0) -> np.ndarray:
    """The metres that a 16-bit picture holds, by its text."""
    options = PredictionOptions(pred_metric_depth=True, save=["depth"])
    files = PredictionWriter(options, ["depth", "png"], "m", largest, factor)
    image = np.zeros((*depth.shape, 3), np.uint8)
    files.save(tmp_path / "a", image, (factor / depth).astype(np.float32))
    with Image.open(tmp_path / "a_depth.png") as opened:
        unit = float(opened.text["depth"].removeprefix("value * "))
        return np.asarray(opened).astype(np.float64) * unit


def test_steps_of_a_picture_fit_the_rig(tmp_path, capsys):
    """W10."""
    depth = np.linspace(0.00975, 0.01025, 64 * 96).reshape(64, 96)
    near = picture(tmp_path, depth, 0.049, largest=1.0)
    assert np.abs(near / depth - 1).max() < 1e-3 and capsys.readouterr().err == ""
    coarse = picture(tmp_path, depth, 0.049)
    assert np.abs(coarse / depth - 1).max() < 4e-3
    assert "its steps of 7.48e-05 m are coarse beside depth of 0.01 m" in capsys.readouterr().err


def test_kitti_s_pictures_are_as_ever(tmp_path, capsys):
    depth = np.linspace(5, 80, 64 * 96).reshape(64, 96)
    assert np.abs(picture(tmp_path, depth, 5.4) * 256 % 1).max() == 0 and capsys.readouterr().err == ""
