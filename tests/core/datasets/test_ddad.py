"""Scenes in the DGP format: recorded numbers, samples, depth that is kept, and what is wrong with a file."""

import dataclasses
import os
import re

import numpy as np
import pytest

from core.datasets import open_dataset, open_datasets
from core.datasets.dgp import (
    T_camera_lidar,
    T_of,
    depth_map,
    find_list,
    read_cameras,
    read_list,
    read_points,
    read_pose,
    read_scene,
)
from core.datasets.inspection import inspect
from core.datasets.layouts.ddad import find_lines
from core.errors import UserError
from core.files.images import load_image
from core.files.json_values import read_json
from core.geometry import invert_rigid
from core.options import PoseEvaluationOptions
from core.options.parsing import parse as parse_plain
from core.options.parsing import parse_method
from core.training.validation import lists_of
from tests.core import ddad_folder
from tests.core.ddad_folder import (
    CALIBRATION,
    HEIGHT,
    LIST,
    SCENE,
    STEP,
    WIDTH,
    copy_sample,
    read,
    write,
)

SMALL = ("--height", "64", "--width", "96", "--batch_size", "1", "--num_workers", "0")


@pytest.fixture
def root(tmp_path):
    return ddad_folder.write_scenes(tmp_path / "ddad")


def parse(root, *more, method="packnet"):
    return parse_method(["--method", method, "--dataset", "ddad", "--data_path", str(root), *SMALL, *more])


# ---- recorded numbers ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("packnet/ddad.npz")


@pytest.fixture(scope="module")
def moments(shared):
    (file,) = read_list(find_list(shared / "data" / "ddad_dgp_mini"), "val")
    return read_scene(file).moments


@pytest.mark.parametrize("number", [0, 1, 2])
def test_recorded_samples(shared, moments, recorded, number):
    moment, place = moments[number], f"sample_{number}"
    scene = shared / "data" / "ddad_dgp_mini" / str(recorded["scene"])
    lidar, cameras = moment.sensors["lidar"], read_cameras(moment.calibration)
    assert lidar.file == scene / str(recorded[f"{place}/lidar_file"])
    np.testing.assert_allclose(lidar.T_world_sensor, recorded[f"{place}/T_world_lidar"], rtol=0, atol=1e-12)
    points = read_points(lidar.file)
    assert (
        points.dtype == recorded[f"{place}/lidar_dtype"]
        and len(points) == recorded[f"{place}/lidar_points"][0]
    )
    calibration = read_json(moment.calibration, "")
    extrinsics = [T_of(read_pose(value)) for value in calibration["extrinsics"].elements()]
    np.testing.assert_allclose(extrinsics[0], recorded["lidar_extrinsics"], rtol=0, atol=1e-12)
    for order, name in enumerate(recorded["cameras"], 1):
        known = {key.rpartition("/")[2]: recorded[key] for key in recorded.files if f"{place}/{name}/" in key}
        camera, K = moment.sensors[name.lower()], cameras[name.lower()]
        assert camera.name == name and camera.file == scene / str(known["file"])
        assert camera.size == tuple(known["shape"]) and (known["K"] == K).all()
        np.testing.assert_allclose(camera.T_world_sensor, known["T_world_camera"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(extrinsics[order], known["T_vehicle_camera"], rtol=0, atol=1e-12)
        depth = depth_map(points, T_camera_lidar(camera, lidar), K, camera.size)
        values = depth[depth > 0]
        assert abs(values.size - known["valid"]) <= 1e-4 * known["valid"]
        found = values.mean(), np.median(values), values.min(), values.max()
        np.testing.assert_allclose(found, known["depth_statistics"], rtol=1e-5)
        if "depth_index" in known:
            expected = np.zeros_like(depth)
            expected.ravel()[known["depth_index"]] = known["depth_value"]
            assert (np.abs(depth - expected) > 1e-5 * expected.max()).sum() <= 1e-4 * known["valid"]
        if "image_mean" in known:
            mean = np.asarray(load_image(camera.file)).mean(axis=(0, 1))
            np.testing.assert_allclose(mean, known["image_mean"], rtol=0, atol=0.5)


def test_recorded_motion(shared, moments, recorded, tmp_path):
    """Ours is the inverse of theirs; and so it comes into samples, of a car that drives."""
    for name in recorded["cameras"]:
        before, target, after = (moment.sensors[name.lower()].T_world_sensor for moment in moments)
        context = recorded[f"sample_1/{name}/pose_context_as_read"]
        ours = [invert_rigid(source) @ target for source in (before, after)]
        np.testing.assert_allclose(ours, np.linalg.inv(context), rtol=0, atol=1e-9)
    with pytest.raises(UserError, match="the camera does not move"):
        open_dataset(parse(copy_sample(shared, tmp_path / "a"), "--supervision", "velocity"), "train")
    driving = parse(copy_sample(shared, tmp_path / "b", step=0.5), "--supervision", "velocity")
    dataset = open_dataset(driving, "train")
    sources = [dataset.T_source_target(dataset.lines[0], frame) for frame in (-1, 1)]
    assert [np.linalg.norm(T[:3, 3]) for T in sources] == pytest.approx([0.5, 0.5], abs=1e-3)
    np.testing.assert_allclose(sources[0][:3, 3], -sources[1][:3, 3], atol=1e-3)


# ---- samples ---------------------------------------------------------------------------------------------


def test_samples_of_several_cameras(root):
    """Each camera is a list: that many samples in training; in validation numbers of its own."""
    cameras = ("--cameras", "camera_05", "Camera_01", "CAMERA_05")
    options = parse(root, *cameras, "--supervision", "velocity")
    train, val = open_dataset(options, "train"), open_dataset(options, "val")
    assert [(line.frame, line.side) for line in train.lines] == [
        (1, "CAMERA_05"),
        (2, "CAMERA_05"),
        (1, "CAMERA_01"),
        (2, "CAMERA_01"),
    ]
    assert list(lists_of(options, val)) == ["", "eigen_zhou_Camera_01/"] and len(val) == 8
    T = train.datasets[0].T_source_target(
        train.lines[0], -1
    )  # the point 0 of the target is ahead of the source
    np.testing.assert_allclose(T, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, STEP], [0, 0, 0, 1]], atol=1e-6)
    assert not np.array_equal(train[0, 0]["image_0_0"], train[0, 2]["image_0_0"])
    K = train.datasets[0].K(train.lines[0])
    np.testing.assert_allclose(
        K, [[60, 0, 47], [0, 55 * 64 / HEIGHT, 23.5 * 64 / HEIGHT], [0, 0, 1]], rtol=1e-6
    )


def test_lists_of_a_method_may_have_cameras_of_their_own(root):
    words = ("--train_path", str(root), str(root), "--train_cameras", "camera_01", "camera_05,camera_01")
    options = parse(root, *words, "--validation_cameras", "camera_05", "--repeat", "1", "2")
    assert [(one.camera, one.repeat) for one in options.listings("train")] == [
        ("camera_01", 1),
        ("camera_05", 2),
        ("camera_01", 2),
    ]
    assert [one.camera for one in options.listings("val")] == ["camera_05"]
    assert len(open_dataset(options, "train")) == 10
    with pytest.raises(UserError, match="option cameras: only for --dataset ddad"):
        parse_method(["--method", "packnet", "--cameras", "camera_01"])
    with pytest.raises(UserError, match="option train_cameras: only for --dataset ddad"):
        parse_method(["--method", "packnet", "--train_cameras", "camera_01"])


@pytest.mark.parametrize("method", ["monodepth2", "sc_depth", "featdepth"])
def test_other_methods_read_it_too(root, method):
    options = parse(root, "--cameras", "camera_05", method=method)
    assert [(one.dataset, one.camera) for one in options.listings("train")] == [("ddad", "camera_05")]
    assert open_dataset(options, "train").lines[0].side == "CAMERA_05"


def test_samples_that_lack_a_sensor_are_left_out_and_counted(root):
    """Neighbours are those of the same moment in the scene, whatever the file calls the next; none is bridged."""
    content = read(root / SCENE)
    content["samples"][3]["datum_keys"].remove("CAMERA_05-3")
    content["samples"][1]["datum_keys"].remove("LIDAR-1")
    write(root / SCENE, content)
    for camera, measured, expected in (
        ("camera_01", False, [1, 2]),
        ("camera_01", True, [2]),
        ("camera_05", False, [1]),
    ):
        lines, _ = find_lines(root, "train", [camera], [0, -1, 1], measured)
        assert [line.frame for line in lines] == expected
    options = parse(root, "--supervision", "semi", "--depth_type", "lidar")
    dataset = open_dataset(options, "train")
    assert [line.frame for line in dataset.lines] == [2]
    assert any("left out: 1 without points of lidar" in note for note in dataset.news())
    with pytest.raises(
        UserError, match=r"split train: no samples \(1 without points of lidar, 1 without images of"
    ):
        find_lines(root, "train", ["camera_05"], [0, -1, 1], True)


def test_splits(root):
    content = read(root / LIST)
    content["scene_splits"]["1"]["filenames"] = ["scene_02/scene_b.json"]
    write(root / LIST, content)
    ddad_folder.write_scenes(root.parent / "other", samples=3)
    os.rename(root.parent / "other" / "scene_01", root / "scene_02")
    os.rename(root / "scene_02" / "scene_a.json", root / "scene_02" / "scene_b.json")
    by_part, by_name = parse(root), parse(root / LIST, "--split", "val")
    assert open_dataset(by_part, "val").lines[0].folder == "scene_02/scene_b.json"
    assert open_dataset(by_part, "train").lines[0].folder == SCENE
    assert open_dataset(by_name, "train").lines[0].folder == "scene_02/scene_b.json"
    with pytest.raises(
        UserError, match="split 'elsewhere': --dataset ddad has train, val, test, train_overfit"
    ):
        open_dataset(parse(root, "--split", "elsewhere"), "train")
    with pytest.raises(UserError, match="has no scenes for train_overfit; it has train, val, test"):
        open_dataset(parse(root, "--split", "train_overfit"), "train")
    write(root / "scene_dataset_v2.json", content)
    with pytest.raises(UserError, match=r"several lists of scenes .*; name one of them by --data_path"):
        open_dataset(by_part, "train")


# ---- depth -----------------------------------------------------------------------------------------------


def test_points_in_the_image():
    """Truncated toward zero, last wins or the nearest; behind the camera and beside it nothing."""
    K = np.array([[10, 0, 4], [0, 10, 2], [0, 0, 1]], np.float32)
    pixels = [
        (-0.9, 1.2, 5),
        (-1.0, 1, 5),
        (3.99, 0, 2),
        (3.5, -0.5, 7),
        (7.99, 4.9, 3),
        (8, 4, 3),
        (2, 2, -4),
    ]
    points = np.array(
        [[(u - 4) / 10 * z, (v - 2) / 10 * z, z] for u, v, z in pixels] + [[np.nan, 0, 1], [1, 1, 0]]
    )
    T = np.eye(4)
    expected = np.zeros((5, 8), np.float32)
    expected[1, 0], expected[0, 3], expected[4, 7] = 5, 7, 3
    np.testing.assert_array_equal(depth_map(points, T, K, (5, 8)), expected)
    expected[0, 3] = 2
    np.testing.assert_array_equal(depth_map(points, T, K, (5, 8), nearest=True), expected)


def kept(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("depth/**/*.npz"))


def test_depth_maps_are_kept_where_old_ones_lie(root):
    dataset = open_dataset(parse(root, "--supervision", "semi"), "train")
    line = dataset.lines[0]
    depth = dataset.measured_depth(line, "lidar")
    (name,) = kept(root)
    assert name == "scene_01/depth/lidar/CAMERA_01/11.npz"
    with np.load(root / name) as file:
        assert file.files == ["depth"] and file["depth"].dtype == np.float32
        np.testing.assert_array_equal(file["depth"], depth)
    assert dataset[0, 0]["depth"].shape == (1, 64, 96) and (depth > 0).sum() > 100
    old = np.full((HEIGHT, WIDTH), 7, np.float32)
    np.savez(root / name, depth=old)
    np.testing.assert_array_equal(dataset.measured_depth(line, "lidar"), old)
    nearest = dataset.measured_depth(line, "lidar_nearest")
    both = (nearest > 0) & (depth > 0)
    assert (nearest > 0).sum() == (depth > 0).sum() and (nearest[both] <= depth[both]).all()
    assert (
        kept(root)[1] == "scene_01/depth/lidar_nearest/CAMERA_01/11.npz"
    )  # never where others look for theirs
    os.renames(root / name, root / name.replace("/lidar/", "/LIDAR/"))
    np.testing.assert_array_equal(dataset.measured_depth(line, "lidar"), old)
    np.savez(root / name.replace("/lidar/", "/LIDAR/"), depth=old[1:])
    with pytest.raises(UserError, match=r"11\.npz: a depth map of \(47, 96\), but the images are \(48, 96\)"):
        dataset.measured_depth(line, "lidar")


def test_a_folder_that_cannot_be_written_to_is_no_error(root, monkeypatch):
    """Nor is a dry run a reason to write."""
    dataset = open_dataset(parse(root, "--supervision", "semi", "--dry_run"), "train")
    assert dataset.measured_depth(dataset.lines[0], "lidar").any() and kept(root) == []
    (root / "scene_01" / "depth").write_text("in the way")
    dataset = open_dataset(parse(root, "--supervision", "semi"), "train")
    dataset.news()
    first, second = (dataset.measured_depth(line, "lidar") for line in dataset.lines)
    assert first.any() and second.any()
    assert [note for note in dataset.news() if "cannot be written" in note] != []
    monkeypatch.setattr(os, "access", lambda *_: False)
    dataset = open_dataset(parse(root, "--supervision", "semi"), "train")
    dataset.news()
    assert dataset.measured_depth(dataset.lines[0], "lidar").any() and dataset.news() == []


def test_validation_has_truth_and_the_whole_size(root):
    options = parse(root, "--cameras", "camera_01", "camera_05")
    first, second = open_datasets(options, "val")
    assert len(first) == 4 and first.sample_truth(0, 0).depth.shape == (HEIGHT, WIDTH)
    described, _ = inspect(first, 1, None)
    assert any("fx 0.625 fy 1.146 cx 0.4896 cy 0.4896" in line for line in described), described
    assert not np.array_equal(first.sample_truth(0, 0).depth, second.sample_truth(0, 0).depth)


# ---- what is wrong ---------------------------------------------------------------------------------------


def change(root, name, place, value):
    content = read(root / name)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    write(root / name, content)


IMAGE = ("data", 1, "datum", "image")


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        (LIST, ("scene_splits",), None, "no scene_splits; unpack it again"),
        (LIST, ("scene_splits",), [], "scene_splits must be an object"),
        (LIST, ("scene_splits", "1", "filenames"), [], "lists no scenes for val"),
        (
            LIST,
            ("scene_splits", "1", "filenames", 0),
            "../../x.json",
            r"filenames\[0\] '../../x.json' must be a path",
        ),
        (LIST, ("scene_splits", "1", "filenames", 0), "/etc/passwd", "must be a path below"),
        (LIST, ("scene_splits", "1", "filenames", 0), "C:\\x.json", "must be a path below"),
        (LIST, ("scene_splits", "1", "filenames", 0), "absent.json", "absent.json: no such file"),
        (SCENE, ("samples",), {}, "samples must be a list"),
        (SCENE, ("samples", 2, "datum_keys"), None, r"no samples\[2\].datum_keys"),
        (SCENE, ("samples", 2, "datum_keys", 0), "x", r"samples\[2\].datum_keys\[0\] is the key of no datum"),
        (
            SCENE,
            ("samples", 2, "datum_keys", 0),
            "CAMERA_01-1",
            "is the second datum of CAMERA_01 in its sample",
        ),
        (SCENE, ("samples", 1, "calibration_key"), "../../x", "must be a path below"),
        (SCENE, ("samples", 1, "calibration_key"), "d", "d.json: no such file"),
        (SCENE, ("data", 1, "id", "name"), "../x", "is no plain name of a sensor"),
        (SCENE, ("data", 1, "id", "name"), 7, r"data\[1\].id.name must be text"),
        (SCENE, (*IMAGE, "filename"), "a/../../../b.jpg", "must be a path below"),
        (SCENE, (*IMAGE, "filename"), "a\0b", "holds a zero byte"),
        (SCENE, (*IMAGE, "width"), 10**9, "is not from 1 to 16384"),
        (SCENE, (*IMAGE, "height"), True, "must be a whole number"),
        (SCENE, (*IMAGE, "height"), 47, "96x48 pixels, its scene says 96x47"),
        (SCENE, (*IMAGE, "pose", "rotation", "qw"), 0.5, "is no rotation"),
        (SCENE, (*IMAGE, "pose", "rotation", "qw"), "1", "must be a number"),
        (SCENE, (*IMAGE, "pose", "translation", "z"), None, r"no data\[1\].datum.image.pose.translation.z"),
        (SCENE, (*IMAGE, "pose", "translation", "z"), 10**400, "is not a finite number"),
        (SCENE, (*IMAGE, "pose", "translation", "z"), 1e300, "m away"),
        (CALIBRATION, ("names",), ["LIDAR"], "intrinsics has 3 entries for 1 names"),
        (CALIBRATION, ("names", 1), "CAMERA_02", "no intrinsics of CAMERA_01"),
        (CALIBRATION, ("intrinsics", 1, "fx"), 0, "no intrinsics of CAMERA_01"),
        (CALIBRATION, ("intrinsics", 1, "cy"), float("nan"), r"intrinsics\[1\].cy is not a finite number"),
    ],
)
def test_what_is_broken_is_one_line(root, name, place, value, message):
    change(root, name, place, value)
    with pytest.raises(UserError, match=message) as caught:
        open_datasets(parse(root), "val")
    text = str(caught.value)
    assert "\n" not in text and str(root) in text and ";" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"[" * 10**6, "cannot be read as JSON"),
        (b"\xff\xfe{", "cannot be read as JSON"),
    ],
)
@pytest.mark.parametrize("name", [LIST, SCENE, CALIBRATION])
def test_files_that_are_no_json(root, name, content, message):
    (root / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{re.escape(name)}: {message}"):
        open_dataset(parse(root), "train")


def test_a_file_that_is_far_too_large_is_not_read(root):
    with (root / SCENE).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="far more than such files"):
        open_dataset(parse(root), "train")


def test_points_that_are_none(root):
    path = root / "scene_01" / "point_cloud" / "LIDAR" / "10.npz"
    dataset = open_dataset(parse(root, "--supervision", "semi"), "train")
    for arrays in ({"data": np.zeros(3)}, {"data": np.zeros((3, 2))}, {"other": np.zeros((3, 4))}):
        np.savez(path, **arrays)
        with pytest.raises(UserError, match=r"10\.npz: no points; it must hold data"):
            dataset.measured_depth(dataset.lines[0], "lidar")
    path.unlink()
    dataset = open_dataset(parse(root, "--supervision", "semi"), "train")
    assert [line.frame for line in dataset.lines] == [2]


def test_what_it_does_not_have(root):
    with pytest.raises(UserError, match="has no stereo pairs; leave out --use_stereo"):
        open_dataset(parse(root, "--use_stereo", method="monodepth2"), "train")
    with pytest.raises(UserError, match=r"no samples .*its cameras are CAMERA_01, CAMERA_05"):
        open_dataset(parse(root, "--cameras", "camera_09"), "train")
    with pytest.raises(UserError, match="no scene is long enough for the frames 0 -9 1"):
        open_dataset(dataclasses.replace(parse(root), frame_ids=[0, -9, 1]), "train")
    with pytest.raises(UserError, match=r"holds no scene_dataset\*\.json or ddad\.json"):
        open_dataset(parse(root / "scene_01"), "train")
    with pytest.raises(UserError, match="option dataset: ddad is for depth alone"):
        parse_plain(PoseEvaluationOptions, ["--dataset", "ddad", "--trajectory", "x"])
