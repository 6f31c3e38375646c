"""Drives through other cameras than a pinhole: range, rays, scans and poses are true to each other."""

import functools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import render_drive
from core.cameras.models import Camera, Limited, Pinhole
from core.cameras.templates import read_template
from core.datasets import measured_motion, open_dataset
from core.datasets.kitti import read_calibration
from core.datasets.known_poses import file_motion
from core.datasets.splits import load_split
from core.errors import UserError
from core.odometry.trajectories import read_trajectory
from core.options.methods.ray_surface import RaySurfaceOptions
from core.rendering import drive as drive_module
from core.rendering.camera import Picture, render, render_view
from core.rendering.lens import lens_of
from core.rendering.lidar import scan
from core.rendering.rig import Rig
from core.rendering.shading import shade
from core.rendering.street import Street
from core.rendering.views import PinholeView, RayView, look
from tests.core import streets
from tests.tolerances import assert_close

Array = np.ndarray
HEIGHT, WIDTH, FRAME = 96, 128, 2
SMALL = (
    "--height 64 --width 96 --frames 3 --val_drives 0 --train_drives 1 --test_drives 0 --azimuths 32 --samples 1 "
    "--workers 1 --format png"
)
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


@pytest.fixture(scope="module")
def street() -> Street:
    return streets.street()


def rig_of(name: str, max_angle: float = 180.0) -> Rig:
    return Rig(HEIGHT, WIDTH, lens_of(name, None, max_angle, HEIGHT, WIDTH))


def place(street: Street, rig: Rig, frame: int = FRAME, camera: int = 2) -> Array:
    return street.plan.T_world_rectified(frame, rig) @ np.linalg.inv(rig.T_camera_rectified(camera))


CAMERAS = {"kannala_brandt": 180.0, "unified": 80.0, "equirectangular": 180.0}
each = pytest.mark.parametrize(("name", "max_angle"), CAMERAS.items(), ids=CAMERAS)


@functools.cache
def seen_by(rig: Rig, frame: int = FRAME, camera: int = 2) -> Picture:
    """Rendered once; not to be changed."""
    view = look(rig.camera, place(streets.street(), rig, frame, camera), HEIGHT, WIDTH)
    return render_view(streets.street().scene(frame), view, 2)


def test_a_pinhole_asks_for_the_rays_it_always_asked_for(street: Street) -> None:
    """To the bit: K⁻¹ (u, v, 1) turned into the world, in float64, then rounded."""
    T, K = place(street, Rig(HEIGHT, WIDTH)), Rig(HEIGHT, WIDTH).K
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    x, y = (u.ravel() - K[0, 2]) / K[0, 0], (v.ravel() - K[1, 2]) / K[1, 1]
    view = look(Rig(HEIGHT, WIDTH).camera, T, HEIGHT, WIDTH)
    assert isinstance(view, PinholeView)
    expected = (x[:, None] * T[:3, 0] + y[:, None] * T[:3, 1] + T[:3, 2]).astype(np.float32)
    assert np.array_equal(view.rays(), expected)
    assert view.steps().shape == (2, 3)


def test_any_camera_shows_what_the_pinhole_shows(street: Street) -> None:
    """The way of unit rays, cones and a step for each pixel, taken by a pinhole."""
    rig = Rig(HEIGHT, WIDTH)
    T = place(street, rig)
    image, depth = render(street.scene(FRAME), T, rig.K, HEIGHT, WIDTH, 2)
    other = render_view(street.scene(FRAME), RayView(T, rig.camera, HEIGHT, WIDTH), 2)
    known = depth > 0
    assert known.mean() > 0.6 and np.mean(known == (other.depth > 0)) > 0.999
    both = known & (other.depth > 0)
    assert np.mean(np.abs(other.depth - depth)[both] < 2e-4 * depth[both]) > 0.999
    assert np.mean(np.abs(other.image.astype(int) - image) <= 1) > 0.99
    range_of = render_view(street.scene(FRAME), PinholeView(T, rig.K, HEIGHT, WIDTH), 1).range
    plane = np.linalg.inv(rig.K) @ np.stack(
        [*np.mgrid[:HEIGHT, :WIDTH][::-1], np.ones((HEIGHT, WIDTH))]
    ).reshape(3, -1)
    assert_close(range_of, depth * np.linalg.norm(plane, axis=0).reshape(HEIGHT, WIDTH), "formula")
    assert np.mean(np.abs(other.range - range_of)[both] < 2e-4 * range_of[both]) > 0.999


@each
def test_cones_leave_out_nothing(name: str, max_angle: float, street: Street) -> None:
    """Every ray tested against every box meets the same."""
    rig, scene = rig_of(name, max_angle), street.scene(FRAME)
    view = look(rig.camera, place(street, rig), HEIGHT, WIDTH)
    rays = view.rays().reshape(HEIGHT, WIDTH, 3)[::3, ::3]
    t, face = scene.trace(view.origin, view.rays().reshape(HEIGHT, WIDTH, 3), view.dense())
    plain = scene.trace(view.origin, rays, lambda boxes: [[(slice(None), slice(None))]] * len(boxes))
    assert np.array_equal(t[::3, ::3], plain[0]) and np.array_equal(face[::3, ::3], plain[1])
    assert len(np.unique(face)) > 30


@each
def test_range_and_rays_rebuild_the_other_view(name: str, max_angle: float, street: Street) -> None:
    rig = rig_of(name, max_angle)
    rays, valid = rig.camera.rays(HEIGHT, WIDTH)
    target = seen_by(rig)
    for frame, camera in ((FRAME, 3), (FRAME + 1, 2)):
        source = seen_by(rig, frame, camera)
        T = np.linalg.inv(place(street, rig, frame, camera)) @ place(street, rig)
        error, share, still = warp_error(rig.camera, rays, target, source, T)
        assert share > 0.5
        assert np.median(error) < 3 < np.median(still)
        wrong = Picture(target.image, target.depth, target.range * 1.25)
        loose = Picture(source.image, source.depth, source.range * 1.25)  # it must pass the visibility test
        assert np.median(warp_error(rig.camera, rays, wrong, loose, T)[0]) > 1.3 * np.median(error)
    assert (target.image[~valid] == 0).all() and (target.range[~valid] == 0).all()


def warp_error(
    camera: Camera, rays: Array, target: Picture, source: Picture, T_source_target: Array
) -> tuple[Array, float, Array]:
    """|rebuilt − target| (N, 3) where the source sees the same, the share of these pixels, |source − target| there."""
    points = (rays * target.range).reshape(3, -1).T @ T_source_target[:3, :3].T + T_source_target[:3, 3]
    pixels, seen = camera.project(points)
    inside = (target.range.ravel() > 0) & seen
    inside &= ((pixels > 1) & (pixels < np.array([WIDTH, HEIGHT]) - 2)).all(1)
    u, v = np.where(inside[:, None], pixels, 0).astype(np.float32).T.reshape(2, HEIGHT, WIDTH)
    there = cv2.remap(source.range, u, v, cv2.INTER_NEAREST).ravel()
    length = np.linalg.norm(points, axis=1)
    visible = inside & (np.abs(there - length) < 0.05 * length)
    rebuilt = cv2.remap(source.image.astype(np.float32), u, v, cv2.INTER_CUBIC).reshape(-1, 3)
    wanted = target.image.reshape(-1, 3).astype(np.float32)
    still = np.abs(source.image.reshape(-1, 3) - wanted)[visible]
    return np.abs(rebuilt - wanted)[visible], visible.sum() / (target.range > 0).sum(), still


@each
def test_depth_is_the_part_of_the_range_along_the_axis(name: str, max_angle: float, street: Street) -> None:
    rig = rig_of(name, max_angle)
    rays, _ = rig.camera.rays(HEIGHT, WIDTH)
    seen = seen_by(rig)
    assert_close(seen.depth, np.maximum(seen.range * rays[2], 0), "formula")
    assert (seen.range[rays[2] < 0] > 0).any() or name == "unified"


@each
def test_scan_lands_on_the_range(name: str, max_angle: float, street: Street) -> None:
    rig = rig_of(name, max_angle)
    seen = seen_by(rig)
    T_world_velodyne = street.plan.T_world_rectified(FRAME, rig) @ rig.T_rectified_velodyne
    points = scan(street.scene(FRAME), T_world_velodyne, 300, np.random.default_rng(0))[:, :3]
    T = np.linalg.inv(place(street, rig)) @ T_world_velodyne
    moved = points @ T[:3, :3].T + T[:3, 3]
    pixels, valid = rig.camera.project(moved)
    u, v = np.rint(pixels).astype(int).T
    valid &= (u >= 0) & (v >= 0) & (u < WIDTH) & (v < HEIGHT)
    u, v, length = u[valid], v[valid], np.linalg.norm(moved[valid], axis=1)
    flat = cv2.dilate(seen.range, np.ones((3, 3))) < 1.15 * cv2.erode(seen.range, np.ones((3, 3)))
    flat &= seen.range > 0
    error = (np.abs(seen.range[v, u] - length) / length)[flat[v, u]]
    assert len(error) > 1000
    assert np.median(error) < 0.03


def test_steps_are_differences_of_rays(street: Street) -> None:
    """Of a pinhole, whose steps are known."""
    rig = Rig(HEIGHT, WIDTH)
    T = place(street, rig)
    ray = RayView(T, rig.camera, HEIGHT, WIDTH)
    K = rig.K
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    x, y = (u.ravel() - K[0, 2]) / K[0, 0], (v.ravel() - K[1, 2]) / K[1, 1]
    length = np.sqrt(x**2 + y**2 + 1)
    unit = np.stack([x, y, np.ones_like(x)]) / length
    along = np.zeros((2, 3, len(x)))
    along[0, 0], along[1, 1] = 1 / K[0, 0], 1 / K[1, 1]
    expected = (along - unit * (along * unit).sum(1, keepdims=True)) / length
    assert_close(ray.steps(), np.einsum("ij,sjn->sni", T[:3, :3], expected), (1e-4, 0.0))
    assert_close(ray.steps(np.array([5, 700])), ray.steps()[:, [5, 700]], "exact")


def test_shading_takes_a_step_for_each_ray(street: Street) -> None:
    """The same step for all, said once or for each, gives the same colours."""
    rig, scene = Rig(HEIGHT, WIDTH), street.scene(FRAME)
    view = PinholeView(place(street, rig), rig.K, HEIGHT, WIDTH)
    rays = view.rays().reshape(HEIGHT, WIDTH, 3)
    t, face = scene.trace(view.origin, rays, view.dense())
    given = scene, view.origin, rays.reshape(-1, 3), t.ravel(), face.ravel()
    each_step = np.repeat(view.steps()[:, None], HEIGHT * WIDTH, axis=1)
    solid = face.ravel() != 1  # a kerb's footprint is a guess, made otherwise
    assert np.abs(shade(*given, view.steps()) - shade(*given, each_step))[solid].max() < 0.5


# --- files ---


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("fisheye") / "set"
    with streets.short(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive_module, "_street", functools.cache(drive_module._street.__wrapped__))
        render_drive.main(f"--output {root} --camera kannala_brandt --max_angle 75 {SMALL}".split())
        yield root


def test_files_of_a_fisheye(rendered: Path) -> None:
    template = read_template(rendered / "rays.npz", 64, 96)
    camera = lens_of("kannala_brandt", None, 75.0, 64, 96)
    assert isinstance(camera, Limited)
    rays, valid = camera.rays(64, 96)
    assert template.valid is not None and np.array_equal(template.valid, valid) and 0.5 < valid.mean() < 1
    assert np.array_equal(template.rays, rays.astype(np.float32)) and not template.notes
    for number in ("02", "03"):
        files = [
            rendered / DRIVE / folder / "0000000001.png"
            for folder in (
                f"range/image_{number}",
                f"proj_depth/groundtruth/image_{number}",
                f"image_{number}/data",
            )
        ]
        distance, depth, image = (np.asarray(Image.open(file)) for file in files)
        assert distance.dtype == np.uint16 and (distance[~valid] == 0).all() and (image[~valid] == 0).all()
        near = distance > 0
        assert near.mean() > 0.3
        assert np.abs(distance / 256 * rays[2] - depth / 256)[near].max() < 1 / 256
        assert (distance[near] >= depth[near]).all() and (distance > depth)[near].mean() > 0.9
    assert not list(rendered.rglob("*.part"))


def test_poses_of_a_fisheye_are_those_of_each_camera(rendered: Path) -> None:
    """The second camera lies half a metre to the right of the first, at every moment."""
    left, right = (
        read_trajectory(rendered / DRIVE / f"image_{n}/data/poses.txt").T_world_camera for n in ("02", "03")
    )
    assert left.shape == (3, 4, 4)
    assert_close(
        np.linalg.inv(left) @ right,
        np.broadcast_to(np.array([[1.0, 0, 0, 0.54], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), (3, 4, 4)),
        (1e-6, 0.0),
    )
    first = read_trajectory(rendered / "poses" / "00.txt").T_world_camera
    assert_close(np.linalg.inv(left[0]) @ left, np.linalg.inv(left[0]) @ first @ left[0], (1e-6, 0.0))


def test_lists_of_a_fisheye_are_those_of_folders(rendered: Path) -> None:
    """Each camera is a sequence whose poses are known: the car goes ahead by some 0.7 m a frame."""
    assert (rendered / "folder_splits" / "train_files.txt").read_text().splitlines() == [
        f"{DRIVE}/image_02/data 1 l",
        f"{DRIVE}/image_03/data 1 l",
    ]
    assert (rendered / "splits" / "train_files.txt").read_text() == f"{DRIVE} 1 l\n{DRIVE} 1 r\n"
    for line in load_split(rendered / "folder_splits", "train"):
        motion = file_motion(rendered / line.folder / "poses.txt", {0: 0, 1: 1, 2: 2}, None)
        move = np.linalg.inv(motion.read(1)) @ motion.read(2)
        assert 0.4 < move[2, 3] < 1.0 and np.abs(move[:2, 3]).max() < 0.2


def test_its_motion_is_known_without_intrinsics(rendered: Path) -> None:
    """In metres; nobody compares the flow of a fisheye with what a pinhole would see."""
    words = {"height": 64, "width": 96, "frame_ids": [0, 1], "known_poses": True, "template": ["dummy"]}
    data = {"dataset": "folder", "data_path": str(rendered), "split": str(rendered / "folder_splits")}
    options = RaySurfaceOptions(**words, **data, batch_size=1)
    options.validate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured_motion, "check_pairs", lambda *_: pytest.fail("compared with a pinhole"))
        dataset = open_dataset(options, "train")
    sample, line = dataset[0, 0], dataset.lines[0]
    motion = file_motion(rendered / line.folder / "poses.txt", {0: 0, 1: 1, 2: 2}, None)
    expected = np.linalg.inv(motion.read(2)) @ motion.read(1)
    assert_close(sample["T_1"], expected, (1e-5, 1e-5))
    assert "K" not in sample


def test_nobody_projects_scans_of_a_fisheye_by_a_matrix(rendered: Path) -> None:
    with pytest.raises(UserError, match="P_rect_02"):
        read_calibration(rendered / "2011_09_26")
    text = (rendered / "2011_09_26" / "calib_cam_to_cam.txt").read_text()
    assert "S_rect_02" in text and "K_02" not in text and "D_02" not in text


def test_a_set_of_another_camera_is_refused(rendered: Path) -> None:
    record = (rendered / "drive.yaml").read_text()
    assert "camera: kannala_brandt" in record and "max_angle: 75.0" in record
    words = f"--output {rendered} {SMALL}"
    with pytest.raises(UserError, match="other options"):
        render_drive.main(words.split())


def test_a_pinhole_of_ones_own_is_written_as_a_matrix() -> None:
    lens = lens_of("pinhole", (60.0, 61.0, 50.0, 30.0), 180.0, 64, 96)
    rig = Rig(64, 96, lens)
    assert isinstance(rig.camera, Pinhole) and np.array_equal(rig.K, [[60, 0, 50], [0, 61, 30], [0, 0, 1]])
    assert "P_rect_02: 6.000000e+01 0.000000e+00 5.000000e+01" in rig.files()["calib_cam_to_cam.txt"]
    assert lens_of("pinhole", None, 180.0, 64, 96) is None
    bent = Rig(64, 96, lens_of("pinhole", (60.0, 61.0, 50.0, 30.0, -0.2, 0.0, 0.0, 0.0), 180.0, 64, 96))
    assert "P_rect_02" not in bent.files()["calib_cam_to_cam.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--camera fisheye", "fisheye"),
        ("--camera dummy", "dummy"),
        ("--camera unified --camera_parameters 40 41 31", "numbers fx fy cx cy xi"),
        ("--camera kannala_brandt --camera_parameters 0.5 0.5 0.5 0.5 0 0 0 0", "in pixels"),
        ("--camera unified --max_angle 0", "max_angle"),
        ("--max_angle 40", "--camera_parameters"),
        ("--camera equirectangular --max_angle 0.001", "sees nothing"),
    ],
)
def test_refused(words: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        render_drive.main(["--output", str(tmp_path / "set"), *words.split()])
    assert not (tmp_path / "set").exists()


def test_a_camera_that_looks_up() -> None:
    """What is ahead is at the top of its images; it sees the same as one that looks forward, turned."""
    street, forward = streets.street(), rig_of("unified")
    up = Rig(HEIGHT, WIDTH, forward.lens, looks_up=True)
    T_up_forward = up.T_camera_rectified(2) @ np.linalg.inv(forward.T_camera_rectified(2))
    assert_close(T_up_forward[:3, :3] @ np.array([0, 0, 1.0]), np.array([0, -1.0, 0]), "float64")
    assert_close(T_up_forward[:3, :3] @ np.array([0, -1.0, 0]), np.array([0, 0, 1.0]), "float64")
    assert np.linalg.det(T_up_forward[:3, :3]) == pytest.approx(1)
    assert_close(T_up_forward[:3, 3], np.zeros(3), "float64")
    seen = seen_by(up)
    grey = seen.image.mean(2)
    assert (seen.range == 0)[
        HEIGHT // 2 - 8 : HEIGHT // 2 + 8, WIDTH // 2 - 8 : WIDTH // 2 + 8
    ].all()  # the sky
    assert grey[HEIGHT // 2, WIDTH // 2] > 100
    rays, _ = up.camera.rays(HEIGHT, WIDTH)
    T = place(street, up)
    hit = (rays * seen.range).reshape(3, -1).T @ T[:3, :3].T + T[:3, 3]
    road = hit[(seen.range.ravel() > 0) & (rays[2].ravel() < -0.2)]
    assert len(road) > 100 and np.median(np.abs(road[:, 2])) < 0.05
