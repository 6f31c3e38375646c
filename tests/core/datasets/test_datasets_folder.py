"""`--dataset folder`: intrinsics from three sources, mirroring that is true to geometry, stereo, and mistakes."""

import math

import numpy as np
import pytest

from core.datasets import open_dataset, with_baseline
from core.datasets.preparation import View
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.images import load_image, resize, to_array
from core.geometry import backproject, mapped_intrinsics, project, relative_intrinsics, warp
from core.options.methods.monodepth2 import Monodepth2Options
from tests.core.own_images import HEIGHT, WIDTH, numbered, write_images
from tests.core.samples import open_lines
from tests.tolerances import assert_close

CAMERA = "fx: 90\nfy: 88.5\ncx: 40\ncy: 30\nwidth: 192\nheight: 96\n"


@pytest.fixture
def root(tmp_path):
    """Three sequences: of one camera, of one camera with its own intrinsics, of a stereo pair."""
    write_images(tmp_path / "plain", numbered(range(5)))
    write_images(tmp_path / "known", numbered([7, 8, 9]), seed=10)
    (tmp_path / "known" / "intrinsics.yaml").write_text(CAMERA)
    for seed, side in ((20, "left"), (40, "right")):
        write_images(tmp_path / "pair" / side, numbered(range(4)), seed=seed)
    (tmp_path / "pair" / "intrinsics.yaml").write_text(CAMERA + "baseline: 1.2e-1\n")
    return tmp_path


def folder(root, *lines, **changes):
    lines = [
        SplitLine(name, int(frame), side or None) for name, frame, side in (line.split("/") for line in lines)
    ]
    return open_lines("folder", root, lines, **({"frames": (0, -1, 1), "seed": 1} | changes))


def test_each_line_has_its_images_and_its_intrinsics(root):
    dataset = folder(root, "plain/2/l", "known/8/", "pair/1/r")
    for index, (path, number) in enumerate([("plain", 2), ("known", 8), ("pair/right", 1)]):
        sample = dataset[0, index]
        for offset in (0, -1, 1):
            image = load_image(root / path / f"{number + offset:06d}.png")
            np.testing.assert_array_equal(sample[f"image_{offset}_0"], to_array(resize(image, 32, 64)))
    focal = 0.5 / math.tan(math.radians(30))
    assert_close(dataset[0, 0]["K"], [[focal * 64, 0, 31.5], [0, focal * 2 * 32, 15.5], [0, 0, 1]])
    # From 192x96 to 64x32: a third, the corner of the image at -0.5 stays there.
    expected = [[30, 0, 40.5 / 3 - 0.5], [0, 29.5, 30.5 / 3 - 0.5], [0, 0, 1]]
    for index in (1, 2):
        K = dataset[0, index]["K"]
        assert K.dtype == np.float32
        assert_close(K, expected)
    assert len(dataset.notes) == 1 and "plain: an estimate: 60°" in dataset.notes[0]


def test_flags_win(root):
    dataset = folder(root, "plain/2/l", "known/8/l", given_intrinsics=[0.58, 1.92, 0.5, 0.25])
    for index in (0, 1):
        assert_close(dataset[0, index]["K"], [[0.58 * 64, 0, 31.5], [0, 1.92 * 32, 7.5], [0, 0, 1]])
    assert not dataset.notes and dataset.K_source(dataset.lines[1]) == "--intrinsics"


def test_the_nearest_file_counts_and_none_above_the_root(root):
    (root / "intrinsics.yaml").write_text(CAMERA.replace("90", "60"))
    assert_close(folder(root, "plain/2/l").K(SplitLine("plain", 2))[0, 0], 20)
    assert_close(folder(root, "known/8/l").K(SplitLine("known", 8))[0, 0], 30)
    assert "estimate" in folder(root / "plain", "./2/l").notes[0]


def test_images_in_the_root(root):
    sample = folder(root / "plain", "./3/l")[0, 0]
    image = load_image(root / "plain" / "000004.png")
    np.testing.assert_array_equal(sample["image_1_0"], to_array(resize(image, 32, 64)))


def test_stereo(root):
    dataset = folder(root, "pair/1/l", "pair/1/r", frames=[0, "s"])
    left, right = dataset[0, 0], dataset[0, 1]
    np.testing.assert_array_equal(left["image_s_0"], right["image_0_0"])
    np.testing.assert_array_equal(right["image_s_0"], left["image_0_0"])
    # The nominal unit, whatever the baseline: that makes predictions metric.
    assert (left["T_stereo"][0, 3], right["T_stereo"][0, 3]) == (np.float32(-0.1), np.float32(0.1))
    assert dataset.baseline == 0.12


def test_the_baseline_is_recorded(root):
    lists = root / "splits"
    lists.mkdir()
    for part in ("train", "val"):
        (lists / f"{part}_files.txt").write_text("pair 1 l\npair 1 r\n")

    def opened(**more):
        options = Monodepth2Options(
            data_path=str(root), split=str(lists), dataset="folder", use_stereo=True, batch_size=2, **more
        )
        options.validate()
        return with_baseline(options, open_dataset(options, "train"))

    options = opened()
    assert options.baseline == 0.12 and options.stereo_scale_factor == pytest.approx(1.2)
    assert opened(baseline=0.5).stereo_scale_factor == pytest.approx(5)
    (root / "pair" / "intrinsics.yaml").unlink()
    assert opened().stereo_scale_factor is None
    assert Monodepth2Options().stereo_scale_factor == 5.4


# ---- mirroring -----------------------------------------------------------------------------------------------


def mirror(K: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """K (1, 3, 3) of the mirrored image."""
    return mapped_intrinsics(K[0], View(*size, mirrored=True).pixel_map(None, edges=False))[None]


@pytest.mark.parametrize("size", [(32, 64), (31, 77)])
def test_mirrored_points_have_mirrored_pixels(size):
    """A point at (-x, y, z), seen through the mirrored K, lies where (x, y, z) lies in the mirrored image."""
    height, width = size
    K = relative_intrinsics([0.6, 1.1, 0.42, 0.53], height, width).astype(np.float64)[None]
    points = np.random.default_rng(0).uniform([[-2], [-1], [3]], [[2], [1], [9]], (1, 3, 50))
    pixels = project(points, K)
    mirrored = project(points * np.array([[-1], [1], [1]]), mirror(K, size))
    assert_close(mirrored[..., 0], width - 1 - pixels[..., 0])  # `project` adds 1e-7 to z
    assert_close(mirrored[..., 1], pixels[..., 1])
    np.testing.assert_array_equal(mirror(mirror(K, size), size), K)


def test_warping_commutes_with_mirroring():
    """Warping mirrored images through the mirrored K and motion gives the mirrored warp."""
    rng, (height, width) = np.random.default_rng(1), (24, 40)
    K = relative_intrinsics([0.7, 1.2, 0.4, 0.55], height, width).astype(np.float64)[None]
    source, depth = rng.uniform(size=(1, 3, height, width)), rng.uniform(3, 6, (1, 1, height, width))
    T = np.eye(4)[None]
    T[0, :3, 3] = 0.3, -0.1, 0.2
    M = np.diag([-1.0, 1, 1, 1])
    mirrored = warp(source[..., ::-1], depth[..., ::-1], mirror(K, (height, width)), M @ T @ M)
    assert_close(mirrored[..., ::-1], warp(source, depth, K, T), "operator")
    wrong = warp(source[..., ::-1], depth[..., ::-1], K, M @ T @ M)
    assert np.abs(wrong[..., ::-1] - warp(source, depth, K, T)).mean() > 0.05


def test_resizing_keeps_the_rays():
    """The corner of an image stays its corner, at any size."""
    small, large = (
        relative_intrinsics([0.7, 1.2, 0.4, 0.55], *size)[None].astype(np.float64)
        for size in ((8, 16), (24, 48))
    )
    pixel = backproject(np.ones((1, 1, 8, 16)), small).reshape(3, 8, 16)[
        :, 2, 5
    ]  # covers 3x3 pixels of the large
    large_pixel = backproject(np.ones((1, 1, 24, 48)), large).reshape(3, 24, 48)[:, 7, 16]
    assert_close(pixel, large_pixel)


def test_samples_mirror_their_intrinsics(root):
    dataset = folder(root, "known/8/l", augment=True)
    flips = {dataset.augmentation((epoch, 0)).mirrored: epoch for epoch in range(20)}
    plain, mirrored = (dataset[flips[flip], 0]["K"] for flip in (False, True))
    assert_close(plain[0, 2], 13)
    assert_close(mirrored[0, 2], 63 - 13)
    np.testing.assert_array_equal(mirrored[[0, 1, 1], [0, 1, 2]], plain[[0, 1, 1], [0, 1, 2]])


# ---- mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fx: 1\n", "must have fx, fy, cx, cy, width, height"),
        (CAMERA + "skew: 1\n", "and nothing else"),
        (CAMERA.replace("90", "ninety"), "fx must be a number above 0, not 'ninety'"),
        (CAMERA.replace("90", "-90"), "fx must be a number above 0"),
        (CAMERA.replace("90", ".nan"), "fx must be a number above 0"),
        (CAMERA.replace("90", "0.47"), "no possible camera for an image of 192x96"),
        (CAMERA.replace("cx: 40", "cx: 200"), "no possible camera"),
        (CAMERA.replace("width: 192", "width: 130"), "is for images of 130x96, but these are 96x48: cropped"),
        ("[" * 1200, "not readable YAML"),
        ("!!python/object/apply:os.getcwd []", "not readable YAML"),
        (CAMERA.replace("90", "!!int ''"), "not readable YAML: has tags (!name)"),
        (CAMERA.replace("90", "!!timestamp x"), "not readable YAML: has tags (!name)"),
        (CAMERA + "fx: 90\n", "'fx' stands there twice; keep one"),
        ("a: &a [x]\nfx: [*a, *a]\n", "has aliases (*name)"),
        (CAMERA.replace("90", "1:30"), "fx must be a number above 0, not '1:30'"),
        (CAMERA.replace("90", "0x5A"), "fx must be a number above 0, not '0x5A'"),
        (CAMERA.replace("90", "9_0"), "fx must be a number above 0, not '9_0'"),
        (CAMERA.replace("90", "[" + "x, " * 999 + "]"), "fx must be a number above 0, not ['x'"),
        ("#" * (65 << 10), "more than 64 KiB"),
        ("- 1\n", "must have"),
        (CAMERA + "baseline: 0\n", "baseline must be a number above 0"),
    ],
)
def test_malformed_intrinsics(root, text, message):
    (root / "known" / "intrinsics.yaml").write_text(text)
    with pytest.raises(UserError, match=r"intrinsics\.yaml") as error:
        folder(root, "known/8/l")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([721.5, 721.5, 609.6, 172.9], "divide pixels by the width"),
        ([0.58, 1.92, 0.5], "are not four numbers"),
        ([0.58, 1.92, 0.5, 1.5], "no camera in units of the image size"),
        ([-0.58, 1.92, 0.5, 0.5], "no camera in units of the image size"),
    ],
)
def test_impossible_flags(values, message):
    with pytest.raises(UserError, match=message):
        Monodepth2Options(dataset="folder", intrinsics=values).validate()


def test_flags_of_other_data_sets():
    with pytest.raises(UserError, match="only for --dataset folder"):
        Monodepth2Options(intrinsics=[0.58, 1.92, 0.5, 0.5]).validate()
    with pytest.raises(UserError, match=r"kitti_test has single test images.*for evaluation only"):
        Monodepth2Options(dataset="kitti_test").validate()
    with pytest.raises(UserError, match="option baseline: must be above 0"):
        Monodepth2Options(baseline=-1.0).validate()


def test_wrong_lines(root):
    with pytest.raises(UserError, match=r"absent: no such folder of images"):
        folder(root, "absent/1/l")
    with pytest.raises(
        UserError, match=r"frame 9 of camera 2\): no such image; check --data_path and --split"
    ):
        folder(root, "plain/9/l")
    dataset = folder(root, "plain/2/l", "plain/4/l")
    with pytest.raises(
        UserError, match=r"frame 5 of camera 2\): no such image \(1 are missing\); line 2 of the split"
    ):
        dataset.check_files()
    with pytest.raises(UserError, match="plain: has one camera, but the split or --use_stereo asks for two"):
        folder(root, "plain/2/r")
    with pytest.raises(UserError, match="has one camera"):
        folder(root, "plain/2/l", frames=[0, "s"]).check_files()
    write_images(root / "pair2" / "left", numbered(range(4)))
    write_images(root / "pair2" / "right", numbered(range(4)))
    with pytest.raises(UserError, match=r"the baselines in intrinsics\.yaml differ"):
        folder(root, "pair/1/l", "pair2/1/l", frames=[0, "s"])


def test_a_video_without_its_frames(tmp_path):
    (tmp_path / "drive.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match=r"drive\.mp4: its frames are not there; run make_split\.py"):
        folder(tmp_path / "drive.mp4", "./1/l")


def test_sizes_of_the_images_here():
    assert (HEIGHT, WIDTH) == (48, 96)  # what CAMERA was calibrated for, halved
