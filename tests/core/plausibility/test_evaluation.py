"""What evaluations compare, in which unit, and by whose rules; and how fine pictures of depth are."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.datasets.depth_files import read_map_and_step, read_metric_depth
from core.datasets.splits import load_split
from core.errors import UserError
from core.evaluation.disparity_files import free_path, read_unit, save_unit
from core.options import OPTIONS, EvaluationOptions, PredictionOptions
from core.options.base import published_name
from core.options.parsing import save_options
from core.options.protocols import of_split
from core.plausibility import checks
from core.plausibility.evaluation import check_direction, check_readings, rank_correlation
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


# ---- readings of the truth ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    """Depth (6, 32, 64) of a road with a wall that comes nearer on one side, metres; unknown above."""
    rows, columns = np.mgrid[:32, :64]
    road = 20 / np.maximum(rows - 10, 1)
    walls = [np.where(columns > 40 + 2 * n, 6 - 0.5 * n, 30) for n in range(6)]
    depth = np.minimum(road, np.stack(walls))
    return np.where(rows < 6, 0, depth).astype(np.float32)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda d: d[:, :, ::-1], "a mirrored one, left for right"),
        (lambda d: d[:, ::-1], "one upside down"),
        (lambda d: d[:, ::-1, ::-1], "turned by 180"),
        (lambda d: np.roll(d, 1, 0), "that of the line before"),
        (lambda d: np.roll(d, -1, 0), "that of the line after"),
        (lambda d: d[::-1], "in the reverse order"),
        (lambda d: np.where(d > 0, np.log(np.maximum(d, 1e-3)), 0), "the logarithm of depth"),
        (lambda d: np.log1p(d), r"log\(1 \+ depth"),
        (lambda d: np.sqrt(d), "the square root of depth"),
        (lambda d: d**2, "the square of depth"),
    ],
)
def test_a_truth_that_is_read_wrongly(street, read, said):
    noise = np.exp(np.random.default_rng(0).normal(0, 0.05, street.shape))
    predictions = noise / np.where(street > 0, street, 30)
    check_readings("x", predictions, list(street))
    assert checks.warnings() == []
    check_readings("x", predictions, list(read(street)))
    (warning,) = checks.warnings()
    assert re.search(f"x: the truth looks like .*{said}", warning)


def test_predictions_that_know_little_do_not_blame_the_truth(street):
    road = np.broadcast_to(np.median(1 / np.maximum(street, 1), axis=(0, 2))[None, :, None], street.shape)
    for predictions in (road, street * 0 + 0.1, np.random.default_rng(0).uniform(0.1, 1, street.shape)):
        check_readings("x", predictions, list(street))
    assert checks.warnings() == []


@pytest.mark.parametrize(("factor", "warns"), [(1.0, 0), (1.3, 0), (2.0, 1), (0.3048, 1)])
def test_metres_that_are_off_by_one_factor(street, factor, warns):
    """So are disparities in pixels with another camera's focal length and baseline."""
    predictions = 1 / np.where(street > 0, street, 30)
    check_readings("x", predictions, list(street * factor), None)
    assert checks.warnings() == []
    check_readings("x", predictions, list(street * factor), 1.0)
    assert len(checks.warnings()) == warns
    if warns:
        assert f"true depth is {factor:.3g} times the predicted one in all 6 images" in checks.warnings()[0]


def test_an_evaluation_says_how_the_truth_looks(rendered, perfect, truth, tmp_path):
    maps = [np.roll(depth, shift, 1) for depth in truth for shift in (0, 5)]
    file, lines = tmp_path / "gt.npz", (rendered / "splits" / "test_files.txt").read_text().split("\n")
    np.savez(file, data=np.stack(maps)[:, :, ::-1])
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "test_files.txt").write_text("\n".join(line for line in lines for _ in (0, 1)))
    np.save(tmp_path / "p.npy", [np.roll(one, shift, 1) for one in np.load(perfect) for shift in (0, 5)])
    split = ["--eval_split", tmp_path / "list", "--data_path", rendered, "--png", "--accept", "list_lines"]
    given = ["--ext_disp_to_eval", tmp_path / "p.npy", "--ground_truth", file, "--eval_mono"]
    done = run_here("evaluate_depth.py", *given, *split)
    assert done.returncode == 0 and "p.npy: the truth looks like a mirrored one" in done.stderr
    assert done.stderr.count("\n") == 1


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


def picture(folder: Path, depth: np.ndarray, factor: float, largest: float = 100.0) -> np.ndarray:
    """The metres that our readers find in a 16-bit picture."""
    options = PredictionOptions(pred_metric_depth=True, save=["depth"])
    files = PredictionWriter(options, ["depth", "png"], "m", largest, factor)
    files.save(folder / "a", np.zeros((*depth.shape, 3), np.uint8), (factor / depth).astype(np.float32))
    read = read_metric_depth(folder / "a_depth.png").astype(np.float64)
    pixels, step = read_map_and_step(folder / "a_depth.png")
    np.testing.assert_allclose(pixels * step, read, rtol=1e-6)
    return read


@pytest.mark.parametrize(
    ("nearest", "farthest", "factor", "largest"),
    [
        (0.00975, 0.01025, 0.049, 100),  # W10
        (0.00975, 0.01025, 0.049, 1),
        (0.02, 0.15, 0.049, 100),  # an endoscope
        (0.4, 6, 0.6, 100),  # a room
        (0.8, 60, 1.2, 100),  # from a hand to the end of a street
        (250, 900, 50, 100),  # from above
    ],
)
def test_pictures_are_right_to_a_thousandth(tmp_path, capsys, nearest, farthest, factor, largest):
    depth = np.linspace(nearest, farthest, 64 * 96).reshape(64, 96)
    assert np.abs(picture(tmp_path, depth, factor, largest) / depth - 1).max() < 1e-3
    assert capsys.readouterr().err == ""


def test_where_no_step_fits(tmp_path, capsys):
    """A few near points of a street are as coarse as KITTI's own; a fly before a mountain is a word."""
    depth = np.geomspace(0.05, 80, 64 * 96).reshape(64, 96)
    off = np.abs(picture(tmp_path, depth, 5.4) / depth - 1)
    warned = capsys.readouterr().err
    assert (
        "a_depth.png: its steps of 0.00195 m are coarse beside depth from 0.05 to 80 m: 40% of the" in warned
    )
    assert off.max() > 1e-3 and f"{(depth < 0.001953125 / 2e-3).mean():.0%}" == "40%"
    depth = np.linspace(2.1, 80, 64 * 96).reshape(64, 96)
    depth[-1, :30] = 0.7
    assert (picture(tmp_path, depth, 5.4) * 256 % 1).max() == 0 and capsys.readouterr().err == ""


def test_kitti_s_pictures_are_as_ever(tmp_path, capsys):
    depth = np.linspace(5, 80, 64 * 96).reshape(64, 96)
    assert np.abs(picture(tmp_path, depth, 5.4) * 256 % 1).max() == 0 and capsys.readouterr().err == ""
    depth[:20] = 540  # the sky, as far as a network can say
    assert picture(tmp_path, depth, 5.4).max() == 65535 / 256 and capsys.readouterr().err == ""


def test_a_picture_that_says_something_else(tmp_path):
    image, text = Image.fromarray(np.full((4, 4), 300, np.uint16)), PngInfo()
    image.save(tmp_path / "kitti.png")
    assert read_metric_depth(tmp_path / "kitti.png")[0, 0] == 300 / 256
    for unit, step, said in (
        ("relative: true up to one unknown scale", "0.001", "so it is no depth in metres"),
        ("metres", "nan", "which is no step in metres"),
        ("metres", "-1", "which is no step in metres"),
    ):
        text = PngInfo()
        text.add_text("depth", f"value * {step}")
        text.add_text("unit", unit)
        image.save(tmp_path / "a.png", pnginfo=text)
        with pytest.raises(UserError, match=said):
            read_metric_depth(tmp_path / "a.png")
