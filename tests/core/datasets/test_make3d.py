"""Make3D: the crop, the four metrics by formula, evaluate_depth.py, and what is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import export_gt_depth
from core.datasets.evaluated_images import find_evaluated_images
from core.datasets.ground_truth import SparseDepth
from core.datasets.layouts.make3d import Make3D, find_photographs
from core.errors import UserError
from core.evaluation.depth import evaluate_depth as evaluate
from core.evaluation.metrics import depth_metrics
from core.options import EvaluationOptions
from core.options.protocols import PROTOCOLS
from tests.core.make3d_folder import COLUMNS, savemat, write_photograph
from tests.scripts import assert_says, refused, run_here, succeeds
from tests.tolerances import assert_close

FRAMEWORKS = ("torch", "paddle")
PROTOCOL = PROTOCOLS["make3d"]
MAKE3D_METRIC_NAMES = ("abs_rel", "sq_rel", "rmse", "log10")
NAMES = ("10.21op2-p-046t000", "math4-p-139t0", "statroad1-p-108t0")


def depths(number: int) -> np.ndarray:
    """(21, 305) metres, of float32, as ground truth is kept."""
    values = np.random.default_rng(number).uniform(2, 69, (21, COLUMNS))
    return values.astype(np.float32).astype(np.float64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs, written in another order than that of their names."""
    for number in (2, 0, 1):
        write_photograph(tmp_path / "make3d", NAMES[number], depths(number), compress=number > 0)
    return tmp_path / "make3d"


def save(folder: Path, values: list[np.ndarray]) -> list[str]:
    """Saves depths as disparities; the arguments that evaluate them."""
    np.save(folder.parent / "a.npy", np.stack([1 / value for value in values]))
    where = ["--data_path", folder, "--eval_split", "make3d", "--ext_disp_to_eval", folder.parent / "a.npy"]
    return [str(word) for word in (*where, "--eval_mono", "--output", folder.parent / "a.json")]


# ---- the crop ----------------------------------------------------------------------------------------------------


def test_rows_of_a_published_image(tmp_path: Path) -> None:
    """852 of 2272 rows of the image and 21 of 55 of the grid, both in the middle."""
    rows = np.linspace(0, 255, 2272).astype(np.uint8)[:, None, None]
    write_photograph(tmp_path, "a", depths(0), np.broadcast_to(rows, (2272, 1704, 3)))
    (photograph,) = find_photographs(tmp_path)
    sample = Make3D([photograph], 852, 1704)[0, 0]["image_0_0"]
    with Image.open(photograph.image) as image:
        np.testing.assert_array_equal(sample, np.asarray(image)[710:1562])
    truth = photograph.ground_truth()
    assert truth.shape == (21, COLUMNS) and truth.line == str(photograph) == "img-a"
    np.testing.assert_array_equal(truth.dense(), depths(0))  # the rows around are 1 m


def test_nothing_is_cut_twice() -> None:
    assert PROTOCOL.subject.crop.bounds(21, 305) == (0, 21, 0, 305)


# ---- the metrics -------------------------------------------------------------------------------------------------


def test_metrics_by_hand() -> None:
    found = depth_metrics(np.array([2.0, 10.0]), np.array([20.0, 1.0]), MAKE3D_METRIC_NAMES)
    assert_close(found, np.array([(9 + 0.9) / 2, (162 + 8.1) / 2, np.sqrt((324 + 81) / 2), 1.0]), "float64")


def test_exact_prediction() -> None:
    """Up to one factor; what lies at 70 m or beyond, or is unknown, does not count."""
    depth = depths(0)
    known = depth.copy()
    depth[:3, :50] = [[0.0], [-3.0], [81.0]]
    depth[3, 0] = 70.0
    truth = SparseDepth.from_dense(depth, "a")
    metrics = evaluate([1 / (3 * known)], [truth], PROTOCOL)
    assert_close(metrics.mean, np.zeros(4), (0, 1e-12))
    assert metrics.valid_pixels.tolist() == [21 * COLUMNS - 151]
    assert metrics.scale_ratios is not None
    assert_close(metrics.scale_ratios, np.array([1 / 3]), "float64")


def test_protocol_from_options() -> None:
    def options(split: str = "make3d", **values: Any) -> EvaluationOptions:
        return EvaluationOptions(eval_split=split, **values)

    subject, rule = PROTOCOL.subject, PROTOCOL.rule
    assert (subject.crop.bounds(21, 305), subject.cap) == ((0, 21, 0, 305), 70)
    assert rule.limit_truth and rule.metrics == MAKE3D_METRIC_NAMES
    assert options(eval_mono=True).chosen_protocol == options(eval_stereo=True).chosen_protocol == PROTOCOL
    assert EvaluationOptions(protocol="make3d").chosen_protocol == PROTOCOL
    assert options(eval_mono=True, depth_cap=60.0).chosen_protocol.title == "make3d, depth_cap 60"
    assert options("x/make3d").chosen_protocol.subject.cap == 80


# ---- evaluate_depth.py -------------------------------------------------------------------------------------------


def test_a_known_distortion(folder: Path) -> None:
    """A fifth too far, cut at 70 m; printed, as JSON and as a table."""
    truths = [depths(number) for number in range(3)]
    more = ["--disable_median_scaling", "--csv", str(folder.parent / "a.csv")]
    done = run_here(
        "evaluate_depth.py", *save(folder, [1.2 * truth for truth in truths]), *more, without=FRAMEWORKS
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{folder}: 3 images; the published numbers are of Make3D's 134 test images\n"
    first, counted, names, row = done.stdout.splitlines()
    assert "pixels" in counted
    assert first == "split make3d | crop 2:1 | cap 70 m | no median scaling | 3 images"
    assert [name.strip() for name in names.split("|")[:-1]] == ["abs_rel", "sq_rel", "rmse", "log10"]
    expected = []
    for truth in truths:
        found = np.minimum(1.2 * truth, 70)
        error = found - truth
        expected.append(
            [
                (error / truth).mean(),
                (error**2 / truth).mean(),
                np.sqrt((error**2).mean()),
                np.log10(found / truth).mean(),
            ]
        )
    mean = np.mean(expected, axis=0)
    assert row == "".join(f"&{value:8.3f}  " for value in mean) + "\\\\"
    written = json.loads((folder.parent / "a.json").read_text())
    assert_close(written["per_image"], np.array(expected))
    assert written["mean"] == dict(zip(MAKE3D_METRIC_NAMES, written["mean"].values(), strict=True))
    assert (
        written["lines"] == [f"img-{name}" for name in NAMES]
        and written["protocol"]["subject"]["crop"]["name"] == "2:1"
    )
    with (folder.parent / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[float(row[name]) for name in MAKE3D_METRIC_NAMES] for row in rows] == written["per_image"]
    assert rows[0]["valid_pixels"] == str(21 * COLUMNS)


def test_the_published_number_of_images_needs_no_note(
    tmp_path: Path,
) -> None:
    for number in range(134):
        (tmp_path / f"img-{number}.jpg").touch()
        (tmp_path / f"depth_sph_corr-{number}.mat").touch()
    options = EvaluationOptions(eval_split="make3d", data_path=str(tmp_path))
    images = find_evaluated_images(options)
    assert len(images.names) == 134 and images.notes == []


def test_help_names_it() -> None:
    assert_says(
        " ".join(succeeds("evaluate_depth.py", "--help", here=True).split()), "make3d: all images below"
    )


# ---- what is refused ---------------------------------------------------------------------------------------------


def test_a_missing_depth_file(folder: Path) -> None:
    arguments = save(folder, [depths(0)] * 3)
    (folder / "Gridlaserdata" / f"depth_sph_corr-{NAMES[1]}.mat").unlink()
    message = refused("evaluate_depth.py", *arguments, folder=folder.parent, without=FRAMEWORKS, here=True)
    assert_says(message, f"no depth_sph_corr-{NAMES[1]}.mat", f"img-{NAMES[1]}.jpg", "unpack Make3D's depth")


def test_folders_that_are_none(folder: Path) -> None:
    with pytest.raises(UserError, match=r"absent: no such folder; --data_path"):
        find_photographs(folder / "absent")
    with pytest.raises(UserError, match=r"no img-\*\.jpg in it or below; unpack"):
        find_photographs(folder / "Gridlaserdata")
    (folder / "again").mkdir()
    (folder / "again" / f"img-{NAMES[0]}.jpg").touch()
    with pytest.raises(UserError, match=r"the same name as .*; keep one"):
        find_photographs(folder)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"Position3DGrid": np.ones((55, 305, 3))}, "shape 55x305x3 instead of 55x305x4"),
        ({"Position3DGrid": np.ones((305, 55, 4))}, "shape 305x55x4 instead of 55x305x4"),
        ({"Position3DGrid": np.full((55, 305, 4), np.nan)}, "depths that are no metres"),
        ({"Position3DGrid": np.full((55, 305, 4), np.inf)}, "depths that are no metres"),
        ({"depth": np.ones((55, 305, 4))}, "holds no array Position3DGrid"),
    ],
)
def test_depth_of_another_kind(folder: Path, variables: dict, message: str) -> None:
    path = folder / "Gridlaserdata" / f"depth_sph_corr-{NAMES[0]}.mat"
    savemat(path, variables)
    with pytest.raises(UserError, match=rf"{path.name}: .*{message}.*; unpack Make3D's depth again"):
        find_photographs(folder)[0].ground_truth()


def test_an_image_of_other_proportions(folder: Path) -> None:
    photographs = find_photographs(folder)
    Image.new("RGB", (40, 30)).save(photographs[0].image)
    with pytest.raises(UserError, match=r"img-10.*\.jpg: is 30x40 \(height x width\), not 2272x1704"):
        Make3D(photographs, 32, 64)[0, 0]


def test_another_number_of_predictions(folder: Path) -> None:
    with pytest.raises(UserError, match="holds 2 predictions but the split lists 3 images"):
        evaluate_depth.main(save(folder, [depths(0)] * 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop": "none"}, "option crop: make3d has its own"),
        ({"png": True}, r"option png: make3d is read from the \.jpg"),
        ({"dataset": "kitti"}, "option dataset: make3d is read from"),
        ({"ground_truth": "a.npz"}, "option ground_truth: make3d is read from"),
    ],
)
def test_options_that_do_not_fit(values: dict, message: str) -> None:
    given = {"eval_mono": True, "ext_disp_to_eval": "a.npy", "eval_split": "make3d"} | values
    with pytest.raises(UserError, match=message):
        EvaluationOptions(**given).validate()


def test_there_is_nothing_to_export() -> None:
    with pytest.raises(UserError, match=r"make3d needs no export; evaluate_depth\.py reads"):
        export_gt_depth.main(["--data_path", "make3d", "--split", "make3d"])
