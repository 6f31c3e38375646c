"""The rendered data set: its layout, independence of workers and interruptions, manners towards users."""

import functools
import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import render_drive
from core.errors import UserError
from core.rendering import drive as drive_module
from core.rendering.drive import drives, render_set
from core.rendering.options import RenderOptions
from core.rendering.rig import Rig
from core.rendering.street import Plan
from core.rendering.trajectory import DATA_FORMAT
from tests.core.streets import short

Array = np.ndarray
DATE = "2011_09_26"


def small(output: Path, **changes: object) -> RenderOptions:
    values: dict = {
        "height": 64, "width": 128, "frames": 3, "val_frames": 3, "test_frames": 4, "train_drives": 1,
        "val_drives": 0, "azimuths": 90, "samples": 2, "workers": 1, "format": "png", "seed": 5,
    }  # fmt: skip
    return RenderOptions(output=str(output), **{**values, **changes})


def digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module", autouse=True)
def streets() -> Iterator[None]:
    """Short ones; here each of this process is built once, not whenever the drive changes."""
    with short(ahead=10.0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive_module, "_street", functools.cache(drive_module._street.__wrapped__))
        yield


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered") / "set"
    assert render_set(small(root), progress=False)
    return root


def numbers(path: Path) -> dict[str, Array]:
    """Numeric entries of a calibration file."""
    entries = (line.split(": ", 1) for line in path.read_text().splitlines())
    return {key: np.array([float(v) for v in value.split()]) for key, value in entries if key != "calib_time"}


def rigid(R: Array, t: Array) -> Array:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R.reshape(3, 3), t
    return T


def test_layout(rendered: Path) -> None:
    for number, frames in ((1, 3), (2, 4)):
        folder = rendered / DATE / f"{DATE}_drive_{number:04d}_sync"
        for frame in range(frames):
            name = f"{frame:010d}"
            for camera in ("image_02", "image_03"):
                image = cv2.imread(str(folder / camera / "data" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
                depth = cv2.imread(
                    str(folder / "proj_depth/groundtruth" / camera / f"{name}.png"), cv2.IMREAD_UNCHANGED
                )
                assert image is not None and depth is not None
                assert image.shape == (64, 128, 3) and image.dtype == np.uint8
                assert depth.shape == (64, 128) and depth.dtype == np.uint16
            points = np.fromfile(folder / "velodyne_points" / "data" / f"{name}.bin", np.float32)
            assert points.size % 4 == 0 and points.size > 4000
        for sensor in ("oxts", "velodyne_points", "image_02", "image_03"):
            assert len((folder / sensor / "timestamps.txt").read_text().splitlines()) == frames
    assert not list(rendered.rglob("*.part"))


def test_split_lists_leave_out_the_ends(rendered: Path) -> None:
    first, second = (f"{DATE}/{DATE}_drive_{n:04d}_sync" for n in (1, 2))
    lists = {
        name: (rendered / "splits" / f"{name}_files.txt").read_text() for name in ("train", "val", "test")
    }
    assert lists == {
        "train": f"{first} 1 l\n{first} 1 r\n", "val": "", "test": f"{second} 1 l\n{second} 2 l\n"
    }  # fmt: skip


def test_packets_poses_and_calibration_agree(rendered: Path) -> None:
    """The published way from oxts packets to camera poses (Geiger et al. 2013) gives the pose file."""
    calibration = rendered / DATE
    cameras, scanner, imu = (
        numbers(calibration / f"calib_{name}.txt") for name in ("cam_to_cam", "velo_to_cam", "imu_to_velo")
    )
    T_rectified_imu = (
        rigid(cameras["R_rect_00"], np.zeros(3))
        @ rigid(scanner["R"], scanner["T"])
        @ rigid(imu["R"], imu["T"])
    )
    lines = sorted((calibration / f"{DATE}_drive_0002_sync/oxts/data").glob("*.txt"))
    packets = [[float(v) for v in path.read_text().split()] for path in lines]
    assert {len(packet) for packet in packets} == {30} == {len(DATA_FORMAT.splitlines())}
    scale, radius, poses = np.cos(np.radians(packets[0][0])), 6378137.0, []
    for latitude, longitude, altitude, roll, pitch, yaw, *_ in packets:
        east = scale * np.radians(longitude) * radius
        north = scale * radius * np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2))
        (a, b, c), (s, p, q) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
        R = np.array([[c, -q, 0], [q, c, 0], [0, 0, 1]]) @ np.array([[b, 0, p], [0, 1, 0], [-p, 0, b]])
        R = R @ np.array([[1, 0, 0], [0, a, -s], [0, s, a]])
        poses.append(rigid(R, np.array([east, north, altitude])) @ np.linalg.inv(T_rectified_imu))
    expected = np.loadtxt(rendered / "poses" / "01.txt").reshape(-1, 3, 4)
    for pose, row in zip(poses, expected, strict=True):
        assert np.allclose((np.linalg.inv(poses[0]) @ pose)[:3], row, atol=2e-5)
    moved = np.linalg.norm(expected[2, :, 3] - expected[0, :, 3])
    assert packets[1][8] * 0.2 == pytest.approx(moved, rel=0.02)
    turned = packets[2][5] - packets[0][5]
    assert packets[1][22] * 0.2 == pytest.approx(turned, abs=2e-4)


def test_calibration_is_what_was_rendered(rendered: Path) -> None:
    rig = Rig(64, 128)
    cameras = numbers(rendered / DATE / "calib_cam_to_cam.txt")
    assert np.array_equal(cameras["P_rect_02"].reshape(3, 4)[:, :3], rig.K)
    assert np.array_equal(cameras["P_rect_03"].reshape(3, 4), rig.P_rect(3))
    assert np.array_equal(cameras["S_rect_02"], [128, 64])
    assert np.abs(cameras["R_rect_00"].reshape(3, 3) - np.eye(3)).max() > 0.005
    assert np.allclose(rig.K[[0, 1], [0, 1]], [0.58 * 128, 1.92 * 64])
    assert np.abs(rig.K[:2, 2] / [128, 64] - 0.5).max() < 0.02
    for camera in (1, 2, 3):
        # The rectified frames are parallel, so both ways from camera 0 to the rectified camera i agree.
        R, t = cameras[f"R_{camera:02d}"].reshape(3, 3), cameras[f"T_{camera:02d}"]
        R_rect = cameras[f"R_rect_{camera:02d}"].reshape(3, 3)
        assert np.allclose(R_rect @ R, cameras["R_rect_00"].reshape(3, 3), atol=1e-5)
        assert np.allclose(R_rect @ t, rig.T_camera_rectified(camera)[:3, 3], atol=1e-5)


def test_calibration_files_have_the_keys_of_real_ones(shared: Path, rendered: Path) -> None:
    for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt"):
        real = (shared / "data" / "kitti_raw_mono" / DATE / name).read_text().splitlines()
        ours = (rendered / DATE / name).read_text().splitlines()
        assert [(line.split(":")[0], len(line.split())) for line in ours] == [
            (line.split(":")[0], len(line.split())) for line in real
        ]


def test_same_bytes_from_two_workers(rendered: Path, tmp_path: Path) -> None:
    """Of a frame of each street: each worker builds one, as the process that rendered the others did."""
    two = shutil.copytree(rendered, tmp_path / "two")
    for number, frame in ((1, 1), (2, 3)):
        for file in (two / DATE / f"{DATE}_drive_{number:04d}_sync").rglob(f"{frame:010d}.*"):
            file.unlink()
    assert len(digest(two)) < len(digest(rendered))
    assert render_set(small(two, workers=2), progress=False)
    assert digest(two) == digest(rendered)


def test_finished_set_is_accepted_and_left_alone(rendered: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in rendered.rglob("*")}
    assert not render_set(small(rendered, workers=2), progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in rendered.rglob("*")}


def test_lost_frame_is_rendered_again(rendered: Path) -> None:
    before = digest(rendered)
    scan = next(rendered.rglob("0000000001.bin"))
    scan.write_bytes(b"")
    assert render_set(small(rendered), progress=False)
    assert digest(rendered) == before


def test_interrupted_set_is_completed(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drive_module.render_frame
    calls = []

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(drive_module, "render_frame", interrupted)
    options = small(tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        render_set(options, progress=False)
    assert "complete: false" in (tmp_path / "again" / "drive.yaml").read_text()
    assert render_set(options, progress=False)
    assert len(calls) == 3 + 7 - 2, "finished frames are not rendered twice"
    assert digest(tmp_path / "again") == digest(rendered)


def _other_options(root: Path, rendered: Path) -> RenderOptions:
    return small(rendered, seed=6)


def _foreign_folder(root: Path, rendered: Path) -> RenderOptions:
    (root / "thesis.txt").write_text("x")
    return small(root)


def _below_a_file(root: Path, rendered: Path) -> RenderOptions:
    (root / "file").write_text("x")
    return small(root / "file" / "set")


def _damaged_manifest(root: Path, rendered: Path) -> RenderOptions:
    (root / "drive.yaml").write_text("a: [")
    return small(root)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_other_options, "other options"),
        (_foreign_folder, "not empty"),
        (_below_a_file, "cannot be used"),
        (_damaged_manifest, "damaged"),
    ],
)
def test_refuses(make: Callable, words: str, tmp_path: Path, rendered: Path) -> None:
    options = make(tmp_path, rendered)
    before = digest(tmp_path)
    with pytest.raises(UserError, match=words) as caught:
        render_set(options, progress=False)
    assert "\n" not in str(caught.value) and "--output" in str(caught.value)
    assert digest(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [["--height", "64"], ["--output", "x", "--frames", "2"], ["--output", "x", "--format", "gif"],
     ["--output", "x", "--hight", "9"],
     ["--output", "x", "--train_drives", "0", "--val_drives", "0", "--test_drives", "0"]],
)  # fmt: skip
def test_script_refuses_bad_options(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        render_drive.main(arguments)
    assert not list(tmp_path.iterdir())


def test_script_says_when_nothing_is_to_do(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = small(rendered)
    arguments = [
        word for name, value in vars(options).items() if value != "" for word in (f"--{name}", str(value))
    ]
    render_drive.main(arguments)
    assert "already there" in capsys.readouterr().out


def motion(plan: Plan) -> tuple[Array, Array]:
    """Distance and turn between consecutive frames, metres and radians."""
    poses = [plan.trajectory.T_world_vehicle(frame / 10) for frame in range(plan.frames)]
    steps = [np.linalg.inv(a) @ b for a, b in itertools.pairwise(poses)]
    return (
        np.array([np.linalg.norm(T[:3, 3]) for T in steps]),
        np.array([np.arctan2(T[1, 0], T[0, 0]) for T in steps]),
    )


def test_the_car_drives_stops_and_turns() -> None:
    plans = [Plan(0, drive.index, drive.frames) for drive in drives(RenderOptions(output="x"))]
    distance, turn = (list(x) for x in zip(*map(motion, plans), strict=True))
    every = np.concatenate(distance)
    assert np.mean((every > 0.4) & (every < 1.0)) > 0.75
    assert 0.02 < np.mean(every < 0.02) < 0.1, "a small share of frames shows a standing car"
    assert max(np.abs(t).max() for t in turn) < 0.06
    assert max(abs(t.sum()) for t in turn) > np.radians(10)
    assert any(t.sum() > 0.05 for t in turn) and any(t.sum() < -0.05 for t in turn)


def test_other_cars_move() -> None:
    street = drive_module._street(5, 0, 3)  # the first one of `rendered`
    assert street.moving
    before, after = street.scene(0), street.scene(2)
    shift = np.linalg.norm(after.boxes.mean(1) - before.boxes.mean(1), axis=1)
    parts = sum(len(car.car.parts) for car in street.moving)
    assert np.allclose(shift[-parts:], abs(street.moving[0].speed) * 0.2, rtol=0.05)
    assert (shift[:-parts] == 0).all()
