"""Ground truth: projections against recorded maps and the plain rule, the file format against misuse."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import export_gt_depth
from core.datasets import kitti, reader
from core.datasets.ground_truth import (
    SparseDepth,
    choose_source,
    ground_truth,
    load_ground_truth,
    save_ground_truth,
    scan_to_depth,
)
from core.datasets.splits import SplitLine, load_split
from core.errors import UserError
from core.evaluation.comparison import Known, mirror, resized_truth
from core.options.needs import Listing, Needs, Preparation
from core.options.protocols import PROTOCOLS
from tests.core.kitti_folder import DRIVE, write_annotated, write_drive, write_first_version
from tests.tolerances import assert_close

REAL_DRIVE = "2011_09_26/2011_09_26_drive_9001_sync"
PLAIN = Needs(augmented=False), Preparation(32, 64)


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/ground_truth.npz")


@pytest.fixture(scope="module")
def real(shared):
    root = shared / "data/kitti_raw_mono"
    scans = {frame: kitti.read_scan(kitti.scan_path(root, REAL_DRIVE, frame)) for frame in (0, 2)}
    return kitti.read_calibration(root / "2011_09_26"), scans


@pytest.mark.parametrize("frame", [0, 2])
@pytest.mark.parametrize("camera", [2, 3])
@pytest.mark.parametrize("value", ["velodyne_x", "camera_z"])
def test_recorded_maps(recorded, real, frame, camera, value):
    calibration, scans = real
    depth = scan_to_depth(scans[frame], calibration, camera, value)
    name = f"frame_{frame}/camera_{camera}"
    assert depth.dtype == np.float32 and depth.shape == tuple(recorded[f"{name}/shape"])
    np.testing.assert_array_equal(np.flatnonzero(depth), recorded[f"{name}/index"])
    assert_close(depth[depth > 0], recorded[f"{name}/{value}"], "stored_float32")


@pytest.mark.parametrize("height_width", ["370x1226", "376x1241"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_recorded_training_targets(recorded, real, height_width, mirrored):
    calibration, scans = real
    height, width = map(int, height_width.split("x"))
    truth = scan_to_depth(scans[0], replace(calibration, image_size=(height, width)), 2, "camera_z")
    truth = resized_truth(Known.of(truth), PROTOCOLS["monodepth2_log"].rule, (192, 640))
    truth = mirror(truth) if mirrored else truth
    depth = np.zeros((1, *truth.shape), np.float32)
    depth.ravel()[truth.index] = truth.values
    name = f"training_target/{height_width}_flip{int(mirrored)}"
    assert depth.shape == (1, *recorded[f"{name}/shape"]) and depth.dtype == np.float32
    np.testing.assert_array_equal(np.flatnonzero(depth), recorded[f"{name}/index"])
    assert_close(depth[depth > 0], recorded[f"{name}/depth"], "stored_float32")


@pytest.mark.parametrize(("name", "cameras"), [("synthetic", (2, 3)), ("behind", (2,))])
@pytest.mark.parametrize("value", ["velodyne_x", "camera_z"])
def test_recorded_quirks(recorded, tmp_path, name, cameras, value):
    (tmp_path / "calib_cam_to_cam.txt").write_text(str(recorded["synthetic/calib_cam_to_cam"]))
    (tmp_path / "calib_velo_to_cam.txt").write_text(str(recorded[f"{name}/calib_velo_to_cam"]))
    calibration = kitti.read_calibration(tmp_path)
    for camera in cameras:
        depth = scan_to_depth(recorded[f"{name}/points"], calibration, camera, value)
        np.testing.assert_array_equal(depth, recorded[f"{name}/camera_{camera}/{value}"])


def test_the_nearest_point_drops_what_is_behind_and_keeps_the_minimum(recorded, tmp_path):
    (tmp_path / "calib_cam_to_cam.txt").write_text(str(recorded["synthetic/calib_cam_to_cam"]))
    (tmp_path / "calib_velo_to_cam.txt").write_text(str(recorded["behind/calib_velo_to_cam"]))
    calibration = kitti.read_calibration(tmp_path)
    scan = recorded["behind/points"]
    quirk = scan_to_depth(scan, calibration, 2, "velodyne_x")
    strict = scan_to_depth(scan, calibration, 2, "velodyne_x", nearest=True)
    assert sorted(quirk[quirk > 0]) == [0.25, 0.25, 0.25, 0.75, 8.5]
    assert sorted(strict[strict > 0]) == [0.75, 8.5]  # the points at 0.25 m are behind a camera at 0.5 m


def simple_calibration(tmp_path):
    write_drive(tmp_path, frames=1)
    return kitti.read_calibration(tmp_path / "2011_09_26")


def point_at(u, v, x):
    """A scan point whose pixel of the simple rig's camera 2 is (u, v) after the rule's shift by one."""
    return [x, -(u + 1 - 64) * x / 64, -(v + 1 - 24) * x / 64, 0.5]


def test_pixels_that_share_a_number(tmp_path):
    """(v, w-1) and (v+1, 0): only the pixel of the first point gets the minimum, unless strict."""
    calibration = simple_calibration(tmp_path)
    scan = np.array([point_at(127, 9, 16), point_at(0, 10, 8)], np.float32)
    quirk = scan_to_depth(scan, calibration, 2)
    assert (quirk[9, 127], quirk[10, 0]) == (8, 8)
    strict = scan_to_depth(scan, calibration, 2, nearest=True)
    assert (strict[9, 127], strict[10, 0]) == (16, 8)


@pytest.mark.parametrize("nearest", [False, True])
def test_duplicates_keep_the_nearest(tmp_path, nearest):
    calibration = simple_calibration(tmp_path)
    scan = np.array([point_at(40, 20, x) for x in (16, 4, 8)] + [point_at(41, 20, 32)], np.float32)
    depth = scan_to_depth(scan, calibration, 2, nearest=nearest)
    assert depth[20, 40] == 4 and depth[20, 41] == 32 and np.count_nonzero(depth) == 2


@pytest.mark.parametrize("value", ["velodyne_x", "camera_z"])
def test_against_the_plain_rule(tmp_path, value):
    calibration = simple_calibration(tmp_path)
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 20, 6000)
    scan = np.stack([x, rng.uniform(-1.2, 1.2, 6000) * x, rng.uniform(-0.5, 0.5, 6000) * x, x], 1)
    scan = scan.astype(np.float32)
    expected = np.zeros(calibration.image_size)
    numbers: dict[int, list[tuple[int, int, float]]] = {}
    for point in scan[scan[:, 0] >= 0]:
        u_z, v_z, z = calibration.projection(2) @ [*point[:3], 1]
        u, v = round(u_z / z) - 1, round(v_z / z) - 1
        if 0 <= u < expected.shape[1] and 0 <= v < expected.shape[0]:
            expected[v, u] = point[0] if value == "velodyne_x" else z
            numbers.setdefault(v * (expected.shape[1] - 1) + u - 1, []).append((v, u, expected[v, u]))
    for points in numbers.values():
        if len(points) > 1:
            expected[points[0][:2]] = min(depth for _, _, depth in points)
    assert sum(len(points) > 1 for points in numbers.values()) > 500
    assert_close(scan_to_depth(scan, calibration, 2, value), expected, "stored_float32")


def test_scans_without_a_usable_point(tmp_path):
    calibration = simple_calibration(tmp_path)
    for point in ([-5, 0, 0, 0], [0, 0, 0, 0], [np.nan] * 4, [np.inf, 0, 0, 0], [1, 50, 0, 0]):
        for nearest in (False, True):
            assert not scan_to_depth(np.array([point], np.float32), calibration, 2, nearest=nearest).any()


# ---- the file --------------------------------------------------------------------------------------------

LINES = [SplitLine("a/b", 3, "l"), SplitLine("a/c", 0, "r"), SplitLine("a/ü", 1)]


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    dense = [
        np.where(rng.random(shape) < 0.2, rng.uniform(1, 80, shape), 0) for shape in ((6, 9), (5, 7), (2, 3))
    ]
    dense[2][:] = 0  # nothing known
    return [SparseDepth.from_dense(depth, line) for depth, line in zip(dense, LINES, strict=True)]


@pytest.fixture
def file(tmp_path, maps):
    path = tmp_path / "gt_depths.npz"
    save_ground_truth(path, maps)
    return path


def test_what_is_written_is_read(file, maps):
    loaded = load_ground_truth(file, LINES)
    for depth, original in zip(loaded, maps, strict=True):
        assert (depth.shape, depth.line) == (original.shape, original.line)
        assert depth.index.dtype == np.int32 and depth.values.dtype == np.float32
        np.testing.assert_array_equal(depth.index, original.index)
        np.testing.assert_array_equal(depth.dense(), original.dense())
    assert loaded[0].dense().shape == (6, 9) and (loaded[0].dense() > 0).sum() == loaded[0].index.size > 0
    assert [path.name for path in file.parent.iterdir()] == ["gt_depths.npz"]


def test_an_older_file_is_read_as_the_new_one(file, tmp_path, maps):
    write_first_version(tmp_path / "old.npz", maps)
    for old, new in zip(load_ground_truth(tmp_path / "old.npz", LINES), load_ground_truth(file), strict=True):
        assert (old.shape, old.line) == (new.shape, new.line) and old.index.dtype == new.index.dtype
        np.testing.assert_array_equal(old.index, new.index)
        np.testing.assert_array_equal(old.values, new.values)


def test_steps_of_any_length(tmp_path):
    """More than 65,535 pixels between two that are known."""
    index = np.array([0, 1, 65536, 65537, 200_000, 299_999], np.int32)
    values = np.array([1, 2.5, 1e-30, 80, 3e38, 0.1], np.float32)
    sparse, dense = (
        SparseDepth((300, 1000), index, values, "a"),
        SparseDepth((1, 3), index[:2], values[:2], "b"),
    )
    for maps, kind in (([sparse, dense], np.uint32), ([dense, dense], np.uint16)):
        save_ground_truth(tmp_path / "gt.npz", maps)
        assert np.load(tmp_path / "gt.npz")["steps"].dtype == kind
        for depth, original in zip(load_ground_truth(tmp_path / "gt.npz"), maps, strict=True):
            np.testing.assert_array_equal(depth.index, original.index)
            np.testing.assert_array_equal(depth.values, original.values)


def test_no_maps(tmp_path):
    save_ground_truth(tmp_path / "gt.npz", [])
    assert load_ground_truth(tmp_path / "gt.npz", []) == []


def test_another_split_is_noticed(file):
    with pytest.raises(UserError, match=r"gt_depths\.npz: holds 3 maps but the split has 2 lines"):
        load_ground_truth(file, LINES[:2])
    with pytest.raises(UserError, match="map 0 is of 'a/b 3 l', the split says 'a/c 0 r'"):
        load_ground_truth(file, [LINES[1], LINES[0], LINES[2]])


def rewrite(path, **changes):
    arrays = dict(np.load(path)) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"index": None},
        {"version": np.int32(3)},
        {"version": np.int32(2)},
        {"version": np.float32(1)},
        {"index": np.full(16, 99, np.int32)},
        {"index": np.full(16, -1, np.int32)},
        {"index": np.zeros(15, np.int32)},
        {"index": np.zeros(16, np.float32)},
        {"values": np.full(16, np.nan, np.float32)},
        {"values": np.full(16, -1, np.float32)},
        {"values": np.array([None] * 16, object)},
        {"counts": np.array([-1, 16, 1], np.int32)},
        {"counts": np.array([1, 15], np.int32)},
        {"counts": np.int32(3)},
        {"counts": np.array([2**31 - 1, 2**31 - 1, 18], np.int32)},
        {"shapes": np.array([[1, 1]] * 3, np.int32)},
        {"shapes": np.array([[2**30, 2**30]] * 3, np.int32)},
        {"shapes": np.array([[0, 9]] * 3, np.int32)},
        {"shapes": np.array([[2**32, 2**32]] * 3, np.int64), "counts": np.zeros(3, np.int32)},
        {"shapes": np.ones((3, 3), np.int32)},
        {"lines": np.array(["a"])},
        {"lines": np.array([b"a", b"b", b"c"])},
    ],
    ids=str,
)
def test_impossible_arrays_of_the_first_version(file, maps, changes):
    assert sum(depth.index.size for depth in maps) == 16
    write_first_version(file, maps)
    rewrite(file, **changes)
    with pytest.raises(UserError, match=r"gt_depths\.npz: .*make it again"):
        load_ground_truth(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": None},
        {"bytes": None},
        {"version": np.int32(1)},
        {"version": np.int32(3)},
        {"version": np.int32([2, 2])},
        {"version": None},
        {"steps": np.full(16, 99, np.uint16)},
        {"steps": np.zeros(16, np.uint16)},
        {"steps": np.full(16, 2**63, np.uint64)},
        {"steps": np.ones(15, np.uint16)},
        {"steps": np.ones(16, np.int16)},
        {"bytes": np.zeros((4, 16), np.uint8)},
        {"bytes": np.full((4, 16), 255, np.uint8)},
        {"bytes": np.ones((4, 15), np.uint8)},
        {"bytes": np.ones(64, np.uint8)},
        {"bytes": np.ones((4, 16), np.uint16)},
        {"counts": np.array([1, 15], np.int32)},
        {"counts": np.int32(3)},
        {"shapes": np.array([[1, 1]] * 3, np.int32)},
        {"lines": np.array(["a"])},
    ],
    ids=str,
)
def test_impossible_arrays(file, maps, changes):
    assert sum(depth.index.size for depth in maps) == 16
    rewrite(file, **changes)
    with pytest.raises(UserError, match=r"gt_depths\.npz: .*make it again"):
        load_ground_truth(file)


def test_unchanged_arrays_pass(file):
    rewrite(file)
    assert len(load_ground_truth(file)) == 3


def test_the_published_file(tmp_path, maps):
    """One array of objects; it does not say which lines its maps belong to."""
    path = tmp_path / "gt_depths.npz"
    data = np.empty(3, object)
    data[:] = [depth.dense() for depth in maps]
    np.savez_compressed(path, data=data)
    for depth, original in zip(load_ground_truth(path, LINES), maps, strict=True):
        assert (depth.shape, depth.line) == (original.shape, original.line)
        np.testing.assert_array_equal(depth.dense(), original.dense())
    assert len(load_ground_truth(path)) == 3
    with pytest.raises(UserError, match=r"gt_depths\.npz: holds 3 maps but the split has 2 lines"):
        load_ground_truth(path, LINES[:2])


@pytest.mark.parametrize(
    "data",
    [
        np.array([np.zeros((2, 2)), None], object),
        np.array([np.zeros(2), np.zeros(3)], object),
        np.zeros((2, 3, 3), np.int32),
        np.full((2, 3, 3), np.nan),
        np.float32(3),
    ],
    ids=str,
)
def test_published_files_with_something_else_than_maps(tmp_path, data):
    path = tmp_path / "gt_depths.npz"
    np.savez_compressed(path, data=data)
    with pytest.raises(UserError, match=r"gt_depths\.npz: .*make it again"):
        load_ground_truth(path)


def test_files_that_are_something_else(tmp_path, file):
    with pytest.raises(UserError, match="no such ground truth"):
        load_ground_truth(tmp_path / "absent.npz")
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    variants = [b"", b"text", data[: len(data) // 2], np.load(file)["bytes"].tobytes()]
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        variants.append(bytes(damaged))
    refused = 0
    for variant in variants:
        file.write_bytes(variant)
        try:
            assert len(load_ground_truth(file)) == 3  # a flipped bit may lie where nobody looks
        except UserError:
            refused += 1
    assert refused > len(variants) / 2


def test_a_file_that_claims_to_be_huge(tmp_path, monkeypatch, file):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i4", "fortran_order": False, "shape": (10**14,)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for name, array in dict(np.load(file)).items():
            data = io.BytesIO()
            np.save(data, array)
            archive.writestr(f"{name}.npy", header.getvalue() if name == "steps" else data.getvalue())
    with pytest.raises(UserError, match=r"bomb\.npz"):
        load_ground_truth(tmp_path / "bomb.npz")
    monkeypatch.setattr("core.datasets.ground_truth.MAX_BYTES", 100)
    with pytest.raises(UserError, match="claims to unpack"):
        load_ground_truth(file)


# ---- the export ------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    return write_drive(tmp_path / "kitti")


@pytest.fixture
def split(tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "test_files.txt").write_text(f"{DRIVE} 1 l\n{DRIVE} 2 r\n")
    return folder


def test_velodyne_export(root, split, capsys):
    export_gt_depth.main(["--data_path", str(root), "--split", str(split)])
    loaded = load_ground_truth(split / "gt_depths.npz", [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 2, "r")])
    calibration = kitti.read_calibration(root / "2011_09_26")
    for depth, (frame, camera) in zip(loaded, [(1, 2), (2, 3)], strict=True):
        scan = kitti.read_scan(kitti.scan_path(root, DRIVE, frame))
        assert depth.index.size > 100
        np.testing.assert_array_equal(depth.dense(), scan_to_depth(scan, calibration, camera))
    assert "2 velodyne maps" in capsys.readouterr().out


def test_annotated_export(root, split, tmp_path):
    pixels = [write_annotated(root, 1, 2), write_annotated(root, 2, 3)]
    output = tmp_path / "elsewhere" / "depths.npz"
    export_gt_depth.main(["--data_path", str(root), "--split", str(split), "--output", str(output)])
    for depth, expected in zip(load_ground_truth(output), pixels, strict=True):
        np.testing.assert_array_equal(depth.dense(), expected / np.float32(256))
    assert not (split / "gt_depths.npz").exists()


def test_choice_of_the_source(root):
    lines = [SplitLine(DRIVE, 1, "l")]
    assert choose_source(root, "own", lines) == "velodyne"
    assert choose_source(root, "eigen_benchmark", lines) == "annotated"
    write_annotated(root, 1)
    assert choose_source(root, "own", lines) == "annotated"
    assert choose_source(root, "eigen", lines) == "velodyne"


def test_strict_export_differs_only_where_quirks_are(root):
    lines = [SplitLine(DRIVE, frame, "l") for frame in range(3)]
    quirk, strict = (list(ground_truth(root, lines, "velodyne", nearest)) for nearest in (False, True))
    for one, other in zip(quirk, strict, strict=True):
        assert np.mean(one.dense() != other.dense()) < 0.01


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (kitti.scan_path(root, DRIVE, 2)).unlink(), r"0000000002\.bin: no such scan"),
        (lambda root: (kitti.scan_path(root, DRIVE, 2)).write_bytes(b"abc"), r"0000000002\.bin: truncated"),
        (
            lambda root: (root / "2011_09_26/calib_velo_to_cam.txt").unlink(),
            r"calib_velo_to_cam\.txt: no such",
        ),
        (lambda root: (root / "2011_09_26/calib_cam_to_cam.txt").write_text("x"), "malformed calibration"),
    ],
)
def test_export_leaves_nothing_half_written(root, split, damage, message):
    damage(root)
    with pytest.raises(UserError, match=message):
        export_gt_depth.main(["--data_path", str(root), "--split", str(split)])
    assert [path.name for path in split.iterdir()] == ["test_files.txt"]


def test_export_of_missing_folders(tmp_path, split):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        export_gt_depth.main(["--data_path", str(tmp_path / "nowhere"), "--split", str(split)])
    with pytest.raises(UserError, match="neither a known list nor a folder"):
        export_gt_depth.main(["--data_path", str(tmp_path), "--split", str(tmp_path / "nowhere")])


# ---- a scan by its forward distance, which some protocols score by and nothing else ----------------------


def test_recorded_forward_distances(golden, shared):
    """Of real scans, and of points with duplicates and pixels that share a number."""
    recorded = golden("epcdepth/evaluation.npz")
    root = shared / "data/kitti_raw_mono"
    for name in ("scan_0", "scan_1"):
        line = SplitLine(REAL_DRIVE, int(recorded[f"ground_truth/{name}/frame"]), "l")
        depth = reader("kitti")(Listing("kitti", str(root), "", depth="forward_scan"), [line], *PLAIN).truth(
            line
        )
        values, columns = depth[depth > 0].astype(np.float64), np.nonzero(depth)[1]
        found = [values.size, values.mean(), np.median(values), values.max(), (values * (columns + 1)).sum()]
        assert_close(np.array(found), recorded[f"ground_truth/{name}/summary"], (1e-6, 0.0))
    matrix = np.eye(4)
    matrix[:3, :3] = recorded["ground_truth/R_rect_00"]
    T = np.vstack([recorded["ground_truth/T_camera_velodyne"], [0, 0, 0, 1]])[:4]
    canvas = tuple(recorded["ground_truth/small/canvas"].tolist())
    calibration = kitti.Calibration(canvas, {2: recorded["ground_truth/P_rect_02"]}, matrix, T)
    points = recorded["ground_truth/small/points"]
    scan = np.hstack([points, np.zeros((len(points), 1), np.float32)])
    place = recorded["ground_truth/small/rows"], recorded["ground_truth/small/columns"]
    for value, name in (("velodyne_x", "forward_x"), ("camera_z", "camera_z")):
        expected = np.zeros(canvas)
        expected[place] = recorded[f"ground_truth/small/{name}"]
        assert_close(scan_to_depth(scan, calibration, 2, value), expected, (1e-6, 1e-6))


@pytest.mark.parametrize("name", ["kitti", "kitti_depth"])
def test_forward_distance_is_a_word_of_the_readers(root, name):
    """A line without its scan has no truth; nothing stops for it."""
    lines = [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 2, "r")]
    kitti.scan_path(root, DRIVE, 2).unlink()
    scanner = root / "2011_09_26/calib_velo_to_cam.txt"
    scanner.write_text(scanner.read_text().replace("T: 0 0 0", "T: 0 0 -0.5"))  # behind the camera
    dataset = reader(name)(Listing(name, str(root), "", depth="forward_scan"), lines, *PLAIN)
    dataset.check_files()
    (expected,) = ground_truth(root, lines[:1], "forward_scan")
    np.testing.assert_array_equal(dataset.truth(lines[0]), expected.dense())
    assert dataset.has_truth and dataset.truth(lines[1]) is None
    usual = reader("kitti")(str(root), lines, *PLAIN).truth(lines[0])
    assert_close((expected.dense() - usual)[usual > 0], np.full((usual > 0).sum(), 0.5), (0.0, 1e-5))


def test_forward_distance_has_a_file_of_its_own(root, split, capsys):
    """So that it is never taken for annotated depth, which the usual file of this list would hold."""
    for frame, camera in ((1, 2), (2, 3)):
        write_annotated(root, frame, camera)
    words = ["--data_path", str(root), "--split", str(split)]
    for more in (
        [],
        ["--source", "forward_scan"],
        ["--source", "velodyne", "--output", str(split / "other.npz")],
    ):
        export_gt_depth.main([*words, *more])
    assert "gt_depths_forward_scan.npz: 2 forward_scan maps" in capsys.readouterr().out
    lines = load_split(split, "test")
    files = ("gt_depths.npz", "gt_depths_forward_scan.npz", "other.npz")
    usual, forward, scans = (load_ground_truth(split / name, lines) for name in files)
    for one, other, third in zip(usual, forward, scans, strict=True):
        assert one.index.size != other.index.size
        np.testing.assert_array_equal(other.dense(), third.dense())
    with pytest.raises(UserError, match="option nearest_point: forward_scan is by the published rule alone"):
        export_gt_depth.main([*words, "--source", "forward_scan", "--nearest_point"])
