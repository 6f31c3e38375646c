"""Metrics of each camera beside those of all, as numbers and from the command line; no framework needed."""

import json

import numpy as np
import pytest

import evaluate_depth
from core.errors import UserError
from core.evaluation.comparison import Scaling
from core.evaluation.depth import evaluate_depth as measure
from core.evaluation.groups import by_group, groups_to_json, printed_groups
from core.evaluation.variants import evaluate_variants
from core.options.protocols import PROTOCOLS
from tests.core.ddad_folder import HEIGHT, WIDTH, write_scenes
from tests.scripts import refused

PROTOCOL = PROTOCOLS["packnet_ddad"]
GROUPS = ["a", "b", "a", "c"]


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(0)
    truths = rng.uniform(1, 150, (4, 5, 6)).astype(np.float32)
    truths[3] = 0  # skipped
    return rng.uniform(0.01, 0.5, (4, 3, 4)), list(truths)


def test_each_group_is_as_if_it_were_alone(maps):
    predictions, truths = maps
    whole = measure(predictions, truths, PROTOCOL)
    parts = by_group(whole, GROUPS)
    assert list(parts) == ["a", "b", "c"]
    alone = measure(predictions[[0, 2]], [truths[0], truths[2]], PROTOCOL)
    np.testing.assert_array_equal(parts["a"].mean, alone.mean)
    assert parts["a"].scale_summary() == alone.scale_summary()
    lines = printed_groups(whole, GROUPS).splitlines()
    assert (
        lines[0].startswith(f" a &{alone.mean[0]:8.3f}")
        and " 2 images, pixels compared: 30 an image (" in lines[0]
    )
    assert lines[2] == " c no truth in 1 images"
    found = groups_to_json(whole, GROUPS)
    assert found["a"]["mean"]["abs_rel"] == alone.mean[0] and found["c"] == {
        "images": 1,
        "mean": {},
        "valid_pixels": 0.0,
    }
    assert (
        by_group(whole, ["a"] * 4) == {}
        and printed_groups(whole, []) == ""
        and groups_to_json(whole, []) == {}
    )


def test_groups_of_variants(maps):
    predictions, truths = maps
    found = evaluate_variants(
        {"": predictions}, truths, PROTOCOL, Scaling("none", 1.0), Scaling("median", 1.0)
    )
    lines = printed_groups(found, GROUPS).splitlines()
    assert [line.split("&")[0].strip() for line in lines[:2]] == ["a depth", "b depth"] and len(lines) == 6
    assert list(groups_to_json(found, GROUPS)) == ["depth", "depth_gt"] and groups_to_json(found, []) == {}


@pytest.fixture
def data(tmp_path):
    root = write_scenes(tmp_path / "ddad")
    np.save(tmp_path / "p.npy", np.random.default_rng(1).uniform(0.05, 0.5, (8, HEIGHT // 2, WIDTH // 2)))
    return root


def words(root, *more):
    saved = ["--ext_disp_to_eval", str(root.parent / "p.npy"), "--eval_mono"]
    return ["--data_path", str(root), "--output", str(root.parent / "m.json"), *saved, *more]


def test_cameras_of_scenes(data, capsys):
    """Moment by moment; all cameras together, and each; the truth is that of the points."""
    cameras = ["--cameras", "camera_05", "camera_01"]
    evaluate_depth.main(words(data, "--protocol", "packnet_ddad", *cameras))
    printed, content = capsys.readouterr(), json.loads((data.parent / "m.json").read_text())
    assert "split val: 1 scenes, 8 samples of camera_05, camera_01" in printed.err
    assert (
        "protocol packnet_ddad | split val | crop none | cap 200 m" in printed.out
        and "8 images" in printed.out
    )
    assert content["lines"][:2] == ["scene_01/scene_a.json 0 CAMERA_05", "scene_01/scene_a.json 0 CAMERA_01"]
    assert list(content["groups"]) == ["CAMERA_05", "CAMERA_01"]
    evaluate_depth.main(words(data, "--protocol", "packnet_ddad", *cameras, "--variants"))
    assert list(json.loads((data.parent / "m.json").read_text())["groups"]) == ["depth", "depth_gt"]
    np.save(data.parent / "p.npy", np.load(data.parent / "p.npy")[1::2])  # of the usual camera
    evaluate_depth.main(words(data, "--dataset", "ddad", "--protocol", "sc_depth", "--eval_split", "test"))
    again = json.loads((data.parent / "m.json").read_text())
    assert again["images"] == 4 and "groups" not in again


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dataset", "ddad"], "option eval_split: 'eigen' is none of train, val, test, train_overfit"),
        (
            ["--protocol", "packnet_ddad", "--eval_split", "eigen"],
            "eigen is another protocol than packnet_ddad",
        ),
        (
            ["--protocol", "packnet_ddad", "--ground_truth", "x"],
            "option ground_truth: --dataset ddad is read from",
        ),
        (["--cameras", "camera_01"], "option cameras: only for --dataset ddad"),
    ],
)
def test_what_cannot_be(data, tmp_path, more, message):
    assert message in refused("evaluate_depth.py", *words(data, *more), folder=tmp_path, here=True)


def test_predictions_of_other_cameras(data):
    with pytest.raises(UserError, match="holds 8 predictions but the split lists 4 images"):
        evaluate_depth.main(words(data, "--protocol", "packnet_ddad"))


def test_points_that_are_not_there(data):
    (data / "scene_01" / "point_cloud" / "LIDAR" / "20.npz").unlink()
    np.save(data.parent / "p.npy", np.load(data.parent / "p.npy")[:4])
    with pytest.raises(UserError, match=r"20\.npz: no such points; unpack them again"):
        evaluate_depth.main(words(data, "--protocol", "packnet_ddad"))
