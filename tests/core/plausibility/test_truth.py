"""True depth of other units and shapes, with a number for unknown, or of few pixels; and right depth."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.ground_truth import SparseDepth, load_ground_truth
from core.datasets.kitti import read_annotated_depth
from core.datasets.layouts.ddad import DdadImages
from core.datasets.layouts.make3d import Make3DImages
from core.datasets.layouts.testing import TestingImages
from core.errors import UserError
from core.options import EvaluationOptions
from core.plausibility import checks
from core.plausibility.truth import check_shapes, check_truth, few_pixels
from tests.core.ddad_folder import write_scenes
from tests.core.make3d_folder import write_photograph
from tests.scripts import refused, run_here, succeeds


def words(rendered: Path, predictions: Path, *more: object) -> list[object]:
    """The evaluation of saved disparities."""
    split = ["--eval_split", rendered / "splits", "--data_path", rendered, "--png", "--eval_mono"]
    return ["evaluate_depth.py", "--ext_disp_to_eval", predictions, *split, *more]


def saved(path: Path, maps: list[np.ndarray]) -> Path:
    """Ground truth as the published program has it."""
    data = np.empty(len(maps), object)
    data[:] = [np.asarray(depth, np.float32) for depth in maps]
    np.savez_compressed(path, data=data)
    return path


def test_the_right_truth_gives_its_number_without_a_word(rendered, perfect, truth, tmp_path):
    printed = succeeds(*words(rendered, perfect, "--output", tmp_path / "all.json"), here=True)
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["mean"]["abs_rel"] < 0.002 and "FEW" not in printed
    counts = [int((depth > 0).sum()) for depth in truth]
    assert f" pixels compared: {np.mean(counts):.0f} an image ({min(counts)} to {max(counts)})" in printed
    origin = found["origin"]
    assert (origin["image_files"], origin["dataset"], origin["data_path"]) == (".png", "kitti", str(rendered))
    assert origin["predictions"] == str(perfect) and origin["accepted"] == origin["warnings"] == []
    assert origin["ground_truth"] == str(rendered / "splits" / "gt_depths.npz")


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1000, "looks like millimetres"), (100, "centimetres"), (256, "16-bit picture"), (1e-3, "kilometres")],
)
def test_truth_in_another_unit(rendered, perfect, truth, tmp_path, factor, said):
    """W2: abs_rel 0.993 with rc 0."""
    file = saved(tmp_path / "gt.npz", [depth * factor for depth in truth])
    message = refused(*words(rendered, perfect, "--ground_truth", file), folder=tmp_path, here=True)
    assert "gt.npz: the median of the true depth is " in message and said in message
    assert message.endswith("or --accept truth_unit")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda depth, most: np.round(depth * 10), "all are whole numbers"),  # decimetres
        (lambda depth, most: np.round(depth / most * 255), "like the steps of a picture"),  # of 8 bits
        (lambda depth, most: np.float32(depth / most), "depth divided by its greatest"),
    ],
)
def test_truth_that_looks_like_no_lengths(truth, tmp_path, capsys, change, said):
    most = np.float32(max(depth.max() for depth in truth))
    load_ground_truth(saved(tmp_path / "gt.npz", [change(depth, most) for depth in truth]))
    assert capsys.readouterr().err.count("gt.npz: are these metres?") == 1 and said in checks.warnings()[0]


def test_infinite_depth_is_named(truth, tmp_path):
    file = saved(tmp_path / "gt.npz", [np.where(depth > 0, depth, np.inf) for depth in truth])
    with pytest.raises(
        UserError, match=r"gt\.npz: has infinite depths; write 0 or nan where depth is unknown"
    ):
        load_ground_truth(file)


def test_one_map_in_another_unit(truth, tmp_path):
    with pytest.raises(UserError, match=r"gt\.npz: map 1 has a median of .* looks like millimetres"):
        load_ground_truth(saved(tmp_path / "gt.npz", [truth[0], truth[1] * 1000]))


def test_whole_numbers_have_no_unit(truth, tmp_path):
    data = np.empty(2, object)
    data[:] = [np.asarray(depth * 1000).astype(np.uint16) for depth in truth]
    np.savez(tmp_path / "gt.npz", data=data)
    with pytest.raises(UserError, match=r"whole numbers.*metres as float32"):
        load_ground_truth(tmp_path / "gt.npz")


def test_what_is_accepted_is_said(rendered, perfect, truth, tmp_path):
    file = saved(tmp_path / "gt.npz", [depth * 1000 for depth in truth])
    output = tmp_path / "all.json"
    done = run_here(
        *words(rendered, perfect, "--ground_truth", file, "--output", output, "--accept", "truth_unit")
    )
    assert done.returncode == 0 and "accepted: truth_unit" in done.stdout
    origin = json.loads(output.read_text())["origin"]
    assert origin["accepted"] == ["truth_unit"] and "median of the true depth" in origin["warnings"][0]


@pytest.mark.parametrize("unknown", [65.535, 655.35, 1e-3])
def test_a_number_that_means_unknown(rendered, perfect, truth, tmp_path, unknown):
    file = saved(tmp_path / "gt.npz", [np.where(depth > 0, depth, unknown) for depth in truth])
    done = run_here(*words(rendered, perfect, "--ground_truth", file))
    share = np.mean([depth == 0 for depth in truth])
    assert (
        done.returncode == 0 and f"{share:.0%} of the known pixels have one and the same depth" in done.stderr
    )
    assert done.stderr.count("\n") == 1


def test_a_few_pixels_clipped_at_the_end(capsys):
    rng = np.random.default_rng(0)
    depth = np.minimum(rng.uniform(1, 86, 5000), 80)  # 7 % at 80
    check_truth("gt.npz", [depth], ["a"])
    assert "have one and the same depth, 80 m" in capsys.readouterr().err
    check_truth("gt.npz", [rng.uniform(1, 80, 5000)], ["a"])
    assert capsys.readouterr().err == ""


def test_nan_is_unknown(truth, tmp_path):
    file = saved(tmp_path / "gt.npz", [np.where(depth > 0, depth, np.nan) for depth in truth])
    for found, depth in zip(load_ground_truth(file), truth, strict=True):
        np.testing.assert_array_equal(found.dense(), depth)
    assert checks.warnings() == []


@pytest.mark.parametrize("turn", [np.rot90, np.transpose, lambda depth: np.rot90(depth, 3)])
def test_truth_that_is_turned(rendered, perfect, truth, tmp_path, turn):
    """W2c: abs_rel 0.894 with rc 0; said by the images where they are at hand, else by the predictions."""
    file = saved(tmp_path / "gt.npz", [turn(depth) for depth in truth])
    more = "--ground_truth", file
    message = refused(*words(rendered, perfect, *more), folder=tmp_path, here=True)
    assert "192x64 images, 64x192 truth" in message and "turned by 90°" in message
    message = refused(
        *words(rendered, perfect, *more, "--data_path", tmp_path / "no"), folder=tmp_path, here=True
    )
    assert "192x64 predictions, 64x192 truth" in message


def test_truth_that_is_cut_out(rendered, perfect, truth, tmp_path):
    file = saved(tmp_path / "gt.npz", [depth[8:] for depth in truth])
    done = run_here(*words(rendered, perfect, "--ground_truth", file))
    assert (
        done.returncode == 0
        and "192x64 images, 192x56 truth" in done.stderr
        and "cut out of it" in done.stderr
    )


def test_other_sizes_of_one_shape_pass(capsys):
    check_shapes("gt", [(375, 1242)] * 3, [(192, 640), (320, 1024), (375, 1242)], ["a", "b", "c"])
    check_shapes("gt", [(375, 1242)] * 2, [(256, 256), (256, 512)], ["a", "b"], "predictions")
    assert checks.warnings() == [] and capsys.readouterr().err == ""


def test_one_pixel_an_image_is_said(rendered, truth, tmp_path):
    """W2b: abs_rel 0.000 of a constant."""
    lonely = []
    for depth in truth:
        kept = np.zeros_like(depth)
        place = np.flatnonzero(depth)[100]
        kept.ravel()[place] = depth.ravel()[place]
        lonely.append(kept)
    file = saved(tmp_path / "gt.npz", lonely)
    np.save(tmp_path / "flat.npy", np.full((len(truth), 64, 192), 0.1, np.float32))
    printed = succeeds(*words(rendered, tmp_path / "flat.npy", "--ground_truth", file), here=True)
    assert f" pixels compared: 1 an image (1 to 1); FEW: {len(truth)} of {len(truth)} images" in printed
    variants = succeeds(
        *words(rendered, tmp_path / "flat.npy", "--ground_truth", file, "--variants"), here=True
    )
    assert "pixels compared: 1 an image" in variants


def test_few_pixels():
    assert few_pixels(np.array([100, 5000])) is None
    assert few_pixels(np.array([99, 5000])).startswith("FEW: 1 of 2 images have less than 100")


def test_annotated_depth_in_millimetres(truth, tmp_path):
    depth = np.where(truth[0] > 0, truth[0] * 3, 0)
    Image.fromarray((depth * 256).astype(np.uint16)).save(tmp_path / "right.png")
    Image.fromarray(np.minimum(depth * 1000, 65535).astype(np.uint16)).save(tmp_path / "depth.png")
    assert read_annotated_depth(tmp_path / "right.png").max() > 30
    with pytest.raises(UserError, match=r"depth\.png: .*looks like millimetres in place of 1/256 m"):
        read_annotated_depth(tmp_path / "depth.png")


def test_a_folder_is_no_file_of_ground_truth(tmp_path):
    with pytest.raises(UserError, match="a folder is no ground truth"):
        load_ground_truth(tmp_path)


def test_an_array_of_another_name(truth, tmp_path):
    np.savez(tmp_path / "gt.npz", np.stack(truth))
    with pytest.raises(
        UserError, match=r"has arr_0, lacks .*; needed is data \(images, height, width\), metres"
    ):
        load_ground_truth(tmp_path / "gt.npz")


def test_real_depth_passes_without_a_word(shared, capsys):
    """NYU's Kinect and KITTI's scanner."""
    for path in (shared / "data/nyuv2_rgbd/depth").iterdir():
        depth = np.asarray(Image.open(path)) / np.float32(1000)
        check_truth(path, [SparseDepth.from_dense(depth, "a").values], ["a"])
    assert checks.warnings() == [] and capsys.readouterr().err == ""


# ---- truth that is read map by map -------------------------------------------------------------------------------


def folder_of_truth(tmp_path: Path, depths: list[np.ndarray]) -> Path:
    """A folder of test images, 48x32, and dense depth."""
    for folder in ("color", "depth"):
        (tmp_path / "testing" / folder).mkdir(parents=True)
    for number, depth in enumerate(depths):
        Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(tmp_path / f"testing/color/{number:03}.png")
        np.save(tmp_path / f"testing/depth/{number:03}.npy", depth.astype(np.float32))
    return tmp_path


def room(count: int = 9) -> list[np.ndarray]:
    return [np.random.default_rng(seed).uniform(0.5, 5, (32, 48)) for seed in range(count)]


def truths_of(folder: Path) -> list[np.ndarray]:
    options = EvaluationOptions(
        data_path=str(folder), protocol="sc_depth_nyu", load_weights_folder="w", eval_mono=True
    )
    return list(TestingImages(options).truths())


def test_maps_of_a_folder_pass_without_a_word(tmp_path, capsys):
    for read, depth in zip(truths_of(folder_of_truth(tmp_path, room())), room(), strict=True):
        np.testing.assert_array_equal(read, depth.astype(np.float32))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda maps: [depth * 1000 for depth in maps], "looks like millimetres"),
        (lambda maps: [*maps[:7], maps[7] * 1000, maps[8]], r"\(007\).*looks like millimetres"),
        (lambda maps: [depth.T for depth in maps], "truth turned by 90° or transposed"),
    ],
)
def test_maps_of_a_folder_that_cannot_be(tmp_path, spoil, said):
    """The seventh is none of those that are looked at before a network runs: it is found when it is read."""
    with pytest.raises(UserError, match=said):
        truths_of(folder_of_truth(tmp_path, spoil(room())))


def test_a_number_that_means_unknown_in_maps_of_a_folder(tmp_path, capsys):
    maps = [np.where(depth < 2, 65.535, depth) for depth in room()]
    truths_of(folder_of_truth(tmp_path, maps))
    assert "32% of the known pixels have one and the same depth, 65.535 m" in capsys.readouterr().err


def test_the_reach_of_a_scanner_of_photographs(tmp_path, capsys):
    """80 m of all that was not reached is no number for unknown where it is not compared; millimetres are seen."""
    options = EvaluationOptions(data_path=str(tmp_path), protocol="make3d", eval_mono=True)
    depth = np.random.default_rng(0).uniform(3, 60, (21, 305))
    depth[:5] = 80
    write_photograph(tmp_path, "a", depth)
    assert len(Make3DImages(options).truths()) == 1 and capsys.readouterr().err == ""
    write_photograph(tmp_path, "a", depth * 1000)
    with pytest.raises(UserError, match="looks like millimetres"):
        Make3DImages(options).truths()


@pytest.mark.parametrize(
    ("factor", "said"), [(1, None), (1000, "looks like millimetres"), (100, r"or centimetres \(16.5 m\)")]
)
def test_points_of_scenes(tmp_path, factor, said):
    root = write_scenes(tmp_path)
    for file in root.rglob("*.npz"):
        with np.load(file) as stored:
            arrays = dict(stored)
        arrays["data"][:, :3] *= factor
        np.savez(file, **arrays)
    options = EvaluationOptions(
        data_path=str(root), dataset="ddad", eval_split="val", eval_mono=True, load_weights_folder="w"
    )
    if said is None:
        assert len(DdadImages(options).truths()) > 0
        return
    with pytest.raises(UserError, match=said):
        DdadImages(options).truths()
