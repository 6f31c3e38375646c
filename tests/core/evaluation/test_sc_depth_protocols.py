"""The protocols of SC-Depth's programs: recorded numbers of each, and test folders through evaluate_depth.py."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

import backends
import core.weights.zoo
import evaluate_depth
from core.errors import UserError
from core.evaluation.comparison import Known, pixels, resized_truth
from core.evaluation.depth import evaluate_depth as evaluate
from core.options import EvaluationOptions
from core.options.needs import Needs, Preparation
from core.options.parsing import parse
from core.options.protocols import CROPS, PROTOCOLS, SEVEN, change
from tests.scripts import assert_says, refused, succeeds
from tests.tolerances import assert_close

FRAMEWORKS = ("torch", "paddle")
SHARES = ("a1", "a2", "a3")


def assert_recorded(found: np.ndarray, names: tuple[str, ...], expected: np.ndarray, relative: float) -> None:
    """By the bounds that came with the numbers: shares of pixels have one of their own."""
    for column, name in enumerate(names):
        bound = (0.0, 2e-4) if name in SHARES else (relative, 0.0)
        assert_close(found[..., column], expected[..., column], bound, label=name)


# ---- recorded ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> Any:
    return golden("sc_depth/evaluation.npz")


@pytest.fixture(scope="module")
def truths(recorded: Any) -> list[Known]:
    """Of two images of KITTI, of different sizes."""
    names = [f"gt{number}" for number in range(2)]
    return [
        Known(tuple(recorded[f"{name}_shape"].tolist()), recorded[f"{name}_index"], recorded[f"{name}_depth"])
        for name in names
    ]


@pytest.mark.parametrize(
    ("variant", "name", "relative"),
    [
        ("official_test", "sc_depth", 1e-4),
        ("official_script", "sc_depth_official_script", 1e-3),
        ("release2021", "sc_depth_release2021", 1e-4),
        ("seed", "sc_depth_seed", 1e-4),
        ("seed_validation", "sc_depth_seed_validation", 1e-4),
    ],
)
def test_recorded_images_of_kitti(
    recorded: Any, truths: list[Known], variant: str, name: str, relative: float
) -> None:
    protocol, expected = PROTOCOLS[name], recorded[variant]
    found = evaluate(recorded["disparity"], truths, protocol)
    assert found.per_image.shape == expected.shape
    assert_recorded(found.per_image, found.names, expected, relative)
    others = {  # the same, cut like the folder of test images
        other: evaluate(recorded["disparity"], truths, PROTOCOLS[other]).per_image
        for other in (f"{name}_kitti",)
        if other in PROTOCOLS
    }
    for values in others.values():
        assert_close(values, found.per_image, "exact")


def test_the_programs_disagree(recorded: Any, truths: list[Known]) -> None:
    """Otherwise the bounds would not tell one from another."""
    names = ["sc_depth", "sc_depth_official_script", "sc_depth_release2021", "sc_depth_seed"]
    rmse = {}
    for name in names:
        found = evaluate(recorded["disparity"], truths, PROTOCOLS[name])
        rmse[name] = found.mean[found.names.index("rmse")]
    assert len({round(float(value), 5) for value in rmse.values()}) >= 3


def test_recorded_counts(recorded: Any, truths: list[Known]) -> None:
    """Valid points in the crop, an odd and an even number; and what shrinking the truth leaves."""
    disparity = recorded["disparity"]
    counts = [
        pixels(d, truth, PROTOCOLS["sc_depth"]).truth.size for d, truth in zip(disparity, truths, strict=True)
    ]
    assert counts == recorded["counts"].tolist() and len({count % 2 for count in counts}) == 2
    for number, truth in enumerate(truths):
        rule = PROTOCOLS["sc_depth_seed_validation"].rule
        small = resized_truth(truth, rule, disparity[number].shape)
        assert small.index.size == recorded[f"gt{number}_small_count"]


SUBJECTS = {
    "nyu": ((480, 640), 0.3, 11.0),
    "ddad": ((120, 160), 0.05, 230.0),
    "bonn": ((120, 160), 0.05, 11.0),
}


def dense(arrays: ModuleType, subject: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of the recorded numbers, float32."""
    size, low, high = SUBJECTS[subject]
    truth = arrays.smooth(f"sc_depth/{subject}_gt", size, (6, 8), low, high)
    return truth, arrays.smooth(f"sc_depth/{subject}_depth", (64, 80), (6, 8), 0.2, 2.0)


@pytest.mark.parametrize(
    ("subject", "variant", "name", "relative"),
    [
        ("nyu", "official_test", "sc_depth_nyu", 1e-4),
        ("ddad", "official_test", "sc_depth_ddad", 1e-4),
        ("bonn", "official_test", "sc_depth_bonn", 1e-4),
        ("ddad", "official_script", "sc_depth_official_script_ddad", 1e-3),
    ],
)
def test_recorded_folders(
    recorded: Any,
    arrays: ModuleType,
    tmp_path: Path,
    subject: str,
    variant: str,
    name: str,
    relative: float,
) -> None:
    """Saved depth against saved truth, through the script."""
    truth, depth = dense(arrays, subject)
    save_folder(tmp_path, [truth], [depth])
    evaluate_depth.main(saved(tmp_path, name, "--output", str(tmp_path / "a.json")))
    content = json.loads((tmp_path / "a.json").read_text())
    found = np.array(content["per_image"])[0]
    assert_recorded(found, tuple(content["names"]), recorded[f"{subject}_{variant}"], relative)


def test_some_of_the_metrics_by_their_names(recorded: Any, truths: list[Known]) -> None:
    """The seven of a report's table, from nine in another order."""
    found = evaluate(recorded["disparity"], truths, PROTOCOLS["sc_depth"])
    expected = evaluate(
        recorded["disparity"],
        truths,
        replace(PROTOCOLS["sc_depth"], rule=replace(found.protocol.rule, metrics=SEVEN)),
    )
    assert_close(found.mean_of(SEVEN), expected.mean, "exact")


# ---- the table -----------------------------------------------------------------------------------------------------


def test_crops_and_caps() -> None:
    names = [name for name in PROTOCOLS if name.startswith("sc_depth")]
    assert len(names) == 5 + 3 * 6
    subjects = {name: PROTOCOLS[name].subject for name in names}
    assert subjects["sc_depth_nyu"].crop.bounds(480, 640) == (45, 471, 41, 601)
    assert subjects["sc_depth_kitti"].crop == subjects["sc_depth"].crop == CROPS["garg"]
    caps = {"kitti": 80, "ddad": 200, "nyu": 10, "bonn": 10, "tum": 10, "scannet": 10}
    assert {name: subjects[f"sc_depth_{name}"].cap for name in caps} == caps


def test_another_crop_keeps_the_limits() -> None:
    rule = PROTOCOLS["sc_depth"].rule
    assert change(PROTOCOLS["sc_depth"], crop=CROPS["none"]).rule == rule


def test_what_lies_at_a_limit_does_not_count() -> None:
    truth = np.array([[0.1, 0.2, 80.0, 79.0]], np.float32)
    protocol = change(PROTOCOLS["sc_depth"], crop=CROPS["none"])
    assert evaluate([np.ones((1, 4), np.float32)], [truth], protocol).valid_pixels.tolist() == [2]


# ---- test folders --------------------------------------------------------------------------------------------------


def save_folder(folder: Path, truths: list[np.ndarray], depths: list[np.ndarray]) -> None:
    """Saves `truth/*.npy` and `depth/*.npy`."""
    for name, maps in (("truth", truths), ("depth", depths)):
        (folder / name).mkdir()
        for number, values in enumerate(maps):
            np.save(folder / name / f"{number:04d}.npy", values)


def saved(folder: Path, protocol: str, *more: str) -> list[str]:
    """Words that evaluate them."""
    where = ["--pred_depth", str(folder / "depth"), "--gt_depth", str(folder / "truth")]
    return ["--protocol", protocol, "--eval_mono", *where, *more]


SIZE = (12, 16)
MOVING, STILL = (250, 10, 10), (0, 0, 0)


@pytest.fixture
def testing(tmp_path: Path) -> Path:
    """`Testing/` with three images, depth in 16 bit and masks; predictions beside it, in another unit and size."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data" / "Testing"
    for name in ("Color", "depth", "seg_mask"):
        (root / name).mkdir(parents=True)
    (tmp_path / "depth").mkdir()
    (root / "seg_mask" / "dynamic_colors.txt").write_text(
        f"1 2 3\n{' '.join(map(str, MOVING))}"
    )  # no newline
    for number in range(3):
        truth = rng.integers(1000, 9000, SIZE).astype(np.uint16)
        Image.fromarray(truth).save(root / "depth" / f"d{number}.png")
        Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)).save(root / "Color" / f"c{number}.jpg")
        mask = np.tile(np.array(STILL, np.uint8), (*SIZE, 1))
        mask[: 4 * number] = MOVING
        Image.fromarray(mask).save(root / "seg_mask" / f"m{number}.png")
        depth = truth.astype(np.float32) / 1000 * 3
        depth[: 4 * number] *= 2  # what moves is wrong
        np.save(tmp_path / "depth" / f"p{number}.npy", depth)
    return tmp_path


def words(testing: Path, protocol: str = "sc_depth_bonn", *more: str) -> list[str]:
    where = ["--data_path", str(testing / "data"), "--pred_depth", str(testing / "depth")]
    return ["--protocol", protocol, "--eval_mono", *where, "--output", str(testing / "a.json"), *more]


def test_a_folder_with_masks(testing: Path) -> None:
    printed = succeeds("evaluate_depth.py", *words(testing), without=FRAMEWORKS)
    assert_says(
        printed, "protocol sc_depth_bonn | split testing | crop none | cap 10 m | median scaling | 3 images"
    )
    assert_says(printed, "abs_diff |  abs_rel", " dynamic pixels of 2 images", " static pixels of 3 images")
    content = json.loads((testing / "a.json").read_text())
    assert content["lines"] == ["c0", "c1", "c2"] and list(content["scale_by_sequence"]) == ["Testing"]
    dynamic, static = (content["regions"][name] for name in ("dynamic", "static"))
    assert dynamic["valid_pixels"] == [0, 64, 128] and static["valid_pixels"] == [192, 128, 64]
    assert content["per_image"][0][1] == pytest.approx(0, abs=1e-6)
    assert dynamic["per_image"][1][1] > static["per_image"][1][1]


def test_the_folder_itself_and_truth_beside_it(testing: Path) -> None:
    """The same numbers, wherever the folders are; without images at all."""
    evaluate_depth.main(words(testing))
    first = json.loads((testing / "a.json").read_text())
    root = testing / "data" / "Testing"
    for place in (
        ["--data_path", str(root)],
        ["--data_path", "absent", "--gt_depth", str(root / "depth"), "--seg_mask", str(root / "seg_mask")],
    ):
        evaluate_depth.main([*words(testing), *place])
        other = json.loads((testing / "a.json").read_text())
        assert [other[key] for key in ("mean", "regions", "names")] == [
            first[key] for key in ("mean", "regions", "names")
        ]
    assert other["lines"] == ["d0", "d1", "d2"]


def test_the_divisor_is_of_the_data_set(testing: Path) -> None:
    ratios = {}
    for name in ("sc_depth_bonn", "sc_depth_nyu"):
        protocol = [*words(testing, name), "--seg_mask", str(testing / "data" / "Testing" / "seg_mask")]
        if name == "sc_depth_nyu":
            protocol += ["--crop", "garg"]  # its own begins at column 41
        evaluate_depth.main(protocol)
        ratios[name] = json.loads((testing / "a.json").read_text())["scale_ratios"][0]
    assert ratios["sc_depth_bonn"] / ratios["sc_depth_nyu"] == pytest.approx(5, rel=1e-6)


def test_sparse_truth(testing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = testing / "data" / "Testing" / "depth"
    for path in sorted(folder.iterdir()):
        depth = np.asarray(Image.open(path), np.float32) / 1000
        depth[::2] = 0
        sparse.save_npz(path.with_suffix(".npz"), sparse.csr_matrix(depth))
        path.unlink()
    evaluate_depth.main(words(testing, "sc_depth_ddad", "--scale_by_sequence"))
    assert json.loads((testing / "a.json").read_text())["valid_pixels"] == [96] * 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(" Scaling ratios | med: ") and last.endswith("| 3 images of Testing")


def test_an_image_without_truth_is_skipped_and_said(
    testing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(testing / "data" / "Testing" / "depth" / "d1.png")
    evaluate_depth.main(words(testing))
    assert "3 images, 1 without truth skipped" in capsys.readouterr().out
    content = json.loads((testing / "a.json").read_text())
    assert content["per_image"][1] == [None] * 9 and content["valid_pixels"][1] == 0


class Fake:
    """A predictor whose depth follows the brightness of images at the size of its network."""

    options = SimpleNamespace(
        stereo_scale_factor=None,
        is_metric=False,
        needs=lambda part: Needs(),
        preparation=lambda part: Preparation(*SIZE, filter="float_bilinear"),
    )

    def disparity(self, images: np.ndarray, post_process: bool) -> np.ndarray:
        assert images.dtype == np.float32 and images.shape[1:] == (*SIZE, 3)
        return np.asarray(1 / (255 * images[..., 0] + 1))


def test_the_images_of_a_folder_reach_the_network(testing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at its place, prepared as the network was trained, under the truth of its number."""
    monkeypatch.setattr(backends, "load_predictor", lambda _: Fake())
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)
    root = testing / "data" / "Testing"
    for number in range(3):
        pixels = np.random.default_rng(number).integers(2, 99, SIZE, np.uint8)
        (root / "Color" / f"c{number}.jpg").unlink()
        Image.fromarray(np.dstack([pixels] * 3)).save(root / "Color" / f"c{number}.png")
        Image.fromarray((pixels.astype(np.uint16) + 1) * 50).save(root / "depth" / f"d{number}.png")
    where = ["--data_path", str(root), "--load_weights_folder", "w", "--output", str(testing / "a.json")]
    evaluate_depth.main(["--protocol", "sc_depth_tum", "--eval_mono", "--num_workers", "0", *where])
    content = json.loads((testing / "a.json").read_text())
    assert content["mean"]["abs_rel"] < 1e-5 and content["lines"] == ["c0", "c1", "c2"]
    assert content["scale_ratios"] == pytest.approx([0.05] * 3, rel=1e-5)


def test_masks_without_colours_are_noted(testing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (testing / "data" / "Testing" / "seg_mask" / "dynamic_colors.txt").unlink()
    evaluate_depth.main(words(testing))
    said = capsys.readouterr()
    assert "without dynamic_colors.txt nobody knows what moves" in said.err and "dynamic" not in said.out
    with pytest.raises(UserError, match=r"dynamic_colors\.txt: no such file; a line is three whole numbers"):
        evaluate_depth.main(
            words(testing, "sc_depth_bonn", "--seg_mask", str(testing / "data/Testing/seg_mask"))
        )


def broken(testing: Path, what: str) -> None:
    """Breaks a folder in one way."""
    root = testing / "data" / "Testing"
    if what == "colours":
        (root / "seg_mask" / "dynamic_colors.txt").write_text("1 2 300\n")
    elif what == "prediction":
        (testing / "depth" / "p2.npy").write_bytes(b"no array")
    elif what == "negative":
        np.save(testing / "depth" / "p2.npy", -np.ones(SIZE))
    elif what == "volume":
        np.save(testing / "depth" / "p2.npy", np.ones((1, 1, *SIZE)))
    elif what == "folder":
        (root / "depth").rename(root / "deep")
        (root / "Color").rename(root / "colours")
    else:
        next((root / what if what != "depth/" else testing / what).glob("*[gy]")).unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("Color", "depth: holds 3 depth files but"),
        ("depth", "depth: holds 2 depth files but"),
        ("seg_mask", "seg_mask: holds 2 masks"),
        ("depth/", "holds 2 predictions, .npy files, but there are 3 images"),
        ("colours", "dynamic_colors.txt: line 1: '1 2 300'; a line is three whole numbers from 0 to 255"),
        ("prediction", "p2.npy: not a readable .npy file of an array"),
        ("negative", "p2.npy: depth must be positive and finite"),
        ("volume", "p2.npy: no depth map: float64 of shape (1, 1, 12, 16)"),
        ("folder", "data: holds no testing/color and testing/depth"),
    ],
)
def test_folders_that_do_not_fit(testing: Path, what: str, message: str) -> None:
    broken(testing, what)
    assert message in refused("evaluate_depth.py", *words(testing), folder=testing, here=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--protocol", "sc_depth_nyu", "--eval_split", "eigen"], "sc_depth_nyu has no list"),
        (["--protocol", "sc_depth_nyu", "--png"], "option png: sc_depth_nyu reads color/"),
        (
            ["--protocol", "sc_depth_nyu", "--ground_truth", "a.npz"],
            "option ground_truth: sc_depth_nyu reads",
        ),
        (
            ["--protocol", "sc_depth", "--gt_depth", "a"],
            "option gt_depth: only for a protocol of a test folder (",
        ),
        (["--seg_mask", "a"], "option seg_mask: only for a protocol of a test folder (sc_depth_kitti, "),
        (["--ext_disp_to_eval", "a.npy"], "--load_weights_folder, --ext_disp_to_eval and --pred_depth"),
        (["--min_depth", "1"], "option min_depth: no network runs with --pred_depth"),
        (["--post_process"], "option post_process: makes no sense with --pred_depth"),
        (["--scale_by_sequence", "--disable_median_scaling"], "option scale_by_sequence: there are no scale"),
        (["--protocol", "sc_depth_tum", "--eval_split", "make3d"], "sc_depth_tum has no list"),
        (["--eval_split", "benchmark", "--disable_median_scaling"], "option pred_depth: the benchmark takes"),
    ],
)
def test_options_that_do_not_fit(more: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(EvaluationOptions, ["--pred_depth", "a", "--eval_mono", *more])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_saved_depth_has_a_unit_of_its_own() -> None:
    with pytest.raises(UserError, match="option pred_depth: saved depth has a unit of its own"):
        parse(EvaluationOptions, ["--pred_depth", "a", "--eval_stereo"])
