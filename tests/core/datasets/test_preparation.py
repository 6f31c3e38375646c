"""What happens to images, K and depth alike: recorded numbers of two papers, and a point followed all the way."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.augmentation import Augmentation, Zoom
from core.datasets.kitti import depth_path, image_path
from core.datasets.known_poses import calibrated_intrinsics
from core.datasets.preparation import DEPTHS, IMAGES, POINTS, View, border_box, network_images, scatter
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.images import load_image, to_array
from core.geometry import mapped_intrinsics, scaled_intrinsics
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import AugmentationPolicy, Listing, Preparation
from tests.core.kitti_folder import DRIVE, HEIGHT, WIDTH, noise, write_annotated, write_drive
from tests.core.samples import open_lines
from tests.tolerances import assert_close

LINES = [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 3, "r")]
RANDOM = {"augment": True, "zoom": 1.3, "border_crop": (8, 36, 20, 100), "jitter": 0.0}


# ---- recorded numbers ------------------------------------------------------------------------------------


def test_recorded_crops(golden):
    recorded = golden("packnet/data.npz")
    for number in range(10):
        crop, shape = recorded[f"crop_{number}/borders"], recorded[f"crop_{number}/shape"]
        expected = recorded[f"crop_{number}/left_top_right_bottom"]
        assert border_box(tuple(crop.tolist()), *shape.tolist()) == tuple(expected)


def test_a_recorded_sample_that_is_cut(golden, shared):
    """PackNet: crop, Lanczos, rows of K scaled."""
    recorded = golden("packnet/data.npz")
    view = View(48, 160, (-352, 0, 0.5, 1216))
    whole = np.zeros((375, 1242))
    assert border_box(view.border_crop, *whole.shape) == tuple(recorded["train/borders"])
    fx, fy, cx, cy = (recorded["K_left"][at] for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    values = fx / 1242, fy / 375, (cx + 0.5) / 1242, (cy + 0.5) / 375
    K = scaled_intrinsics(values, (375, 1242), 48, 160)
    assert_close(mapped_intrinsics(K, view.pixel_map((375, 1242), edges=True)), recorded["train/K"])
    drive = shared / "data/kitti_raw_mono/2011_09_26/2011_09_26_drive_9001_sync"
    image = load_image(drive / "image_02/data/0000000001.png")
    np.testing.assert_array_equal(
        to_array(view.apply(image, IMAGES["lanczos"].medium)), recorded["train/rgb"]
    )


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("name", "bound"), [("float_bilinear", 1e-4), ("bilinear", 0.02)])
def test_recorded_zooms(golden, number, name, bound):
    """SC-Depth: mirror, enlarge, cut out, resize, and K with them; both its pipelines, bounds of the files."""
    recorded, kind = golden("sc_depth/data.npz"), IMAGES[name]
    images = recorded["images"]
    height, width = images.shape[1:3]
    flip, x, y, top, left = recorded[f"draw{number}"]
    # Where in the range of whole offsets these lie: the middle of their share.
    place = ((n + 0.5) / (int(s * f) - s + 1) for n, s, f in ((left, width, x), (top, height, y)))
    view = View(64, 192, mirrored=bool(flip), zoom=Zoom(x, y, *place))
    recorded_name = f"augmented{number}" + ("_pil" if name == "bilinear" else "")
    for image, expected in zip(images, recorded[recorded_name], strict=True):
        found = np.asarray(view.apply(kind.decode(Image.fromarray(image)), kind.medium), np.float64)
        found = found / 255 if name == "bilinear" else found
        assert_close((found.transpose(2, 0, 1) - 0.45) / 0.225, expected, (0, bound))
    K = recorded["K"]
    values = K[0, 0] / width, K[1, 1] / height, (K[0, 2] + 0.5) / width, (K[1, 2] + 0.5) / height
    found = mapped_intrinsics(
        scaled_intrinsics(values, (height, width), 64, 192), view.pixel_map((height, width), edges=True)
    )
    assert_close(found, recorded[f"{recorded_name}_K"], (0, 1e-3))


# ---- geometry --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("zoom", [None, Zoom(1.25, 1.5, 0.3, 0.8)])
def test_a_spot_lies_where_the_map_says(edges, mirrored, zoom):
    """A soft spot in an image is found where A takes its place, cut, mirrored, zoomed and resized."""
    height, width, spot = 96, 192, np.array([80.0, 52.0])
    v, u = np.mgrid[:height, :width]
    pixels = 255 * np.exp(-((u - spot[0]) ** 2 + (v - spot[1]) ** 2) / 50)
    image = Image.fromarray(np.repeat(pixels[..., None], 3, axis=2).astype(np.uint8))
    view = View(80, 160, (10, 80, 30, 144), mirrored, zoom)  # 120 and 180 when enlarged
    kind = IMAGES["lanczos"]
    found = to_array(view.apply(image, kind.medium))[..., 0].astype(float)
    rows, columns = np.mgrid[:80, :160]
    centre = np.array([(columns * found).sum(), (rows * found).sum()]) / found.sum()
    # From the file's pixels to those of the whole image in the size of the sample, by either convention.
    ratio, half = np.array([160 / width, 80 / height]), 0.0 if edges else 0.5
    start = (spot + 0.5) * ratio - half
    A = view.pixel_map((height, width), edges)
    end = (A @ [*start, 1])[:2] + half - 0.5
    assert_close(centre, end, (0, 0.02))  # 8 bit


@pytest.mark.parametrize("mirror", ["pixel_centres", "edges"])
def test_mirroring_by_both_conventions(mirror):
    K = np.array([[30, 0, 20.25], [0, 28, 15], [0, 0, 1]], np.float32)
    found = mapped_intrinsics(K, View(32, 64, mirrored=True).pixel_map(None, mirror == "edges"))
    assert found[0, 2] == (63 if mirror == "pixel_centres" else 64) - np.float32(20.25)
    assert found[0, 0] == 30 and found.dtype == np.float32
    np.testing.assert_array_equal(found[1:], K[1:])
    assert not np.signbit(found).any()


def test_the_plain_way_changes_no_bit_of_k():
    K = np.random.default_rng(0).uniform(0, 99, (3, 3)).astype(np.float32)
    for edges in (False, True):
        np.testing.assert_array_equal(mapped_intrinsics(K, View(33, 77).pixel_map(None, edges)), K)


# ---- depth -----------------------------------------------------------------------------------------------


def test_scattering_keeps_points():
    depth = np.zeros((9, 12), np.float32)
    depth[0, 0], depth[8, 11], depth[4, 5], depth[4, 6], depth[5, 6] = 1, 2, 3, 4, 5
    found = scatter(depth, 3, 4)
    expected = np.zeros((3, 4), np.float32)
    expected[0, 0], expected[2, 3], expected[1, 1], expected[1, 2] = 1, 2, 3, 5  # of two in a pixel the last
    np.testing.assert_array_equal(found, expected)


def test_recorded_scattering(golden):
    """PackNet's map of a real scan, whole and cut."""
    recorded, scan = golden("packnet/data.npz"), golden("packnet/metrics.npz")
    depth = np.zeros((375, 1242), np.float32)
    depth.ravel()[scan["truth_0/index"]] = scan["truth_0/depth"]
    cut = View(48, 160, (-352, 0, 0.5, 1216))
    np.testing.assert_array_equal(cut.apply(depth, POINTS), recorded["train/depth"])
    whole = View(48, 160).apply(depth, POINTS)
    np.testing.assert_array_equal(whole, recorded["validation/input_depth_preserving"])


def real_drive(shared, cut, **words):
    """The real drive with calibrated intrinsics; frame 0 has a scan."""
    root = shared / "data/kitti_raw_mono"
    lines = [SplitLine("2011_09_26/2011_09_26_drive_9001_sync", frame, "l") for frame in (0, 1)]
    listing = Listing("kitti", str(root), "", calibration=True)
    return open_lines("kitti", listing, lines, height=48, width=160, mirror="edges", border_crop=cut, **words)


def test_recorded_k_of_the_file_and_of_the_sample(golden, shared):
    """PackNet: in training K is that of the sample, in validation that of the file, cut but not resized."""
    recorded, cut = golden("packnet/data.npz"), (-352, 0, 0.5, 1216)
    for border_crop, scale_K, name in (
        (cut, True, "train/K"),
        (cut, False, "train/K_cropped"),
        ((), False, "K_left"),
    ):
        dataset = real_drive(shared, border_crop, scale_K=scale_K)
        assert_close(dataset[0, 1]["K"], recorded[name].astype(np.float32), (1e-6, 0))
    left, right = (recorded[f"K_{side}"][:2].ravel()[[0, 4, 2, 5]] for side in ("left", "right"))
    expected = {2: left, 3: right}
    folder = shared / "data/kitti_raw_mono/2011_09_26"
    for camera, (fx, fy, cx, cy) in calibrated_intrinsics(folder).items():
        assert_close([fx * 1242, fy * 375, cx * 1242 - 0.5, cy * 375 - 0.5], expected[camera], (1e-12, 0))
    np.testing.assert_array_equal(dataset[0, 1]["image_0_0"], real_drive(shared, ())[0, 1]["image_0_0"])


def test_recorded_samples_from_files(golden, shared, tmp_path):
    """PackNet's sample of training and its depth for a network in validation, read as its users keep them."""
    recorded, scan = golden("packnet/data.npz"), golden("packnet/metrics.npz")
    real, day = shared / "data/kitti_raw_mono", "2011_09_26"
    line = SplitLine(f"{day}/{day}_drive_9001_sync", int(recorded["train/frame"][0]), "l")
    depth = np.zeros((375, 1242), np.float32)
    depth.ravel()[scan["truth_0/index"]] = scan["truth_0/depth"]
    path = depth_path(tmp_path, line.folder, line.frame, 2, "velodyne", ".npz")
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, velodyne_depth=depth)
    image = image_path(tmp_path, line.folder, line.frame, 2, ".png")
    image.parent.mkdir(parents=True)
    image.symlink_to(image_path(real, line.folder, line.frame, 2, ".png"))
    for file in (real / day).glob("*.txt"):
        (tmp_path / day / file.name).symlink_to(file)
    kind = "proj_depth/velodyne"
    listing = Listing("kitti", str(tmp_path), "", depth=kind, input_depth=kind, calibration=True)
    words = {"height": 48, "width": 160, "mirror": "edges", "depth": True}
    train = open_lines("kitti", listing, [line], border_crop=(-352, 0, 0.5, 1216), **words)[0, 0]
    np.testing.assert_array_equal(train["image_0_0"], recorded["train/rgb"])
    np.testing.assert_array_equal(train["depth"][0], recorded["train/depth"])
    assert_close(train["K"], recorded["train/K"].astype(np.float32), (1e-6, 0))
    for word, name in (
        ("points", "validation/input_depth_preserving"),
        ("nearest", "test/input_depth_nearest"),
    ):
        dataset = open_lines("kitti", listing, [line], input_depth=word, **words)
        np.testing.assert_array_equal(dataset[0, 0]["input_depth"][0], recorded[name])
        np.testing.assert_array_equal(dataset.sample_truth(0, 0).depth, depth)  # full size


def test_truth_of_a_cut_image(tmp_path):
    root, crop = write_drive(tmp_path), (8, 36, 20, 100)
    write_annotated(root, 1)
    cut, whole = (
        open_lines("kitti_depth", root, LINES[:1], border_crop=crop, cut_truth=word) for word in (True, False)
    )
    np.testing.assert_array_equal(whole.sample_truth(0, 0).depth, whole.truth(LINES[0]))
    np.testing.assert_array_equal(cut.sample_truth(0, 0).depth, whole.truth(LINES[0])[8:44, 20:120])


def test_recorded_mirrored_k(golden):
    recorded = golden("packnet/geometry.npz")
    found = mapped_intrinsics(recorded["K"][0], View(192, 640, mirrored=True).pixel_map(None, edges=True))
    assert_close(found, recorded["K_flipped"][0])


def test_recorded_depth_of_the_nearest_pixels(golden):
    """PackNet's test: few points are left; by a word of the preparation."""
    recorded, scan = golden("packnet/data.npz"), golden("packnet/metrics.npz")
    depth = np.zeros((375, 1242), np.float32)
    depth.ravel()[scan["truth_0/index"]] = scan["truth_0/depth"]
    found = View(48, 160).apply(depth, DEPTHS["nearest"])
    np.testing.assert_array_equal(found, recorded["test/input_depth_nearest"])
    assert 0 < (found > 0).sum() < (DEPTHS["points"].resize(depth, 48, 160) > 0).sum() / 10


def test_the_input_depth_alone_is_resized_as_the_preparation_says(tmp_path):
    root = write_drive(tmp_path)
    write_annotated(root, 1)
    listing = Listing("kitti_depth", str(root), "", input_depth="annotated")
    words = {"height": 24, "width": 32, "depth": True}
    kept, hit = (
        open_lines("kitti_depth", listing, LINES[:1], input_depth=word, **words)[0, 0]
        for word in ("points", "nearest")
    )
    truth = open_lines("kitti_depth", root, LINES).truth(LINES[0])
    np.testing.assert_array_equal(hit["input_depth"][0], truth[::2, ::4])
    for key in ("depth", "input_depth"):
        np.testing.assert_array_equal(kept[key], hit["depth"])
    with pytest.raises(UserError, match="input depth 'linear' is none of points, nearest"):
        Preparation(32, 64, input_depth="linear")


@pytest.mark.parametrize("mirrored", [False, True])
def test_depth_goes_with_the_image(tmp_path, mirrored):
    root = write_drive(tmp_path)
    pixels = write_annotated(root, 1)
    dataset = open_lines("kitti_depth", root, LINES[:1], height=24, width=32, augment=True, depth=True)
    epoch = next(e for e in range(50) if dataset.augmentation((e, 0)).mirrored == mirrored)
    depth = dataset[epoch, 0]["depth"]
    assert depth.shape == (1, 24, 32) and depth.dtype == np.float32
    truth = pixels.astype(np.float32)[:, :: -1 if mirrored else 1] / 256
    for row in range(24):
        for column in range(
            32
        ):  # 48x128: two rows and four columns to a pixel, of which the last known one stays
            block = truth[2 * row : 2 * row + 2, 4 * column : 4 * column + 4].ravel()
            known = block[block > 0]
            assert depth[0, row, column] == (known[-1] if known.size else 0)


def test_what_is_not_measured_is_unknown(tmp_path):
    root = write_drive(tmp_path)
    write_annotated(root, 1)
    sample = open_lines("kitti_depth", root, LINES, depth=True)[0, 1]
    assert sample["depth"].shape == (1, 32, 64) and not sample["depth"].any()


def test_a_listing_names_its_depths(tmp_path):
    root = write_drive(tmp_path)
    pixels = write_annotated(root, 1)
    listing = Listing("kitti", str(root), "", depth="annotated", input_depth="velodyne")
    dataset = open_lines("kitti", listing, LINES[:1], height=HEIGHT, width=WIDTH, depth=True)
    dataset.check_files()
    sample = dataset[0, 0]
    np.testing.assert_array_equal(sample["depth"][0], pixels / np.float32(256))
    np.testing.assert_array_equal(dataset.truth(LINES[0]), pixels / np.float32(256))
    scans = open_lines("kitti", root, LINES[:1])
    np.testing.assert_array_equal(sample["input_depth"][0], scans.truth(LINES[0]))
    assert (sample["input_depth"] > 0).sum() > 100
    with pytest.raises(UserError, match="no depth 'radar' in this data set; it has velodyne, annotated"):
        open_lines("kitti", Listing("", str(root), "", depth="radar"), LINES).check_files()


def test_the_truth_is_cut_as_the_image(tmp_path):
    root = write_drive(tmp_path)
    pixels = write_annotated(root, 1)
    plain = open_lines("kitti_depth", root, LINES[:1], border_crop=(8, 36, 20, 100)).sample_truth(0, 0)
    np.testing.assert_array_equal(plain.depth, pixels[8:44, 20:120] / np.float32(256))
    zoomed = open_lines("kitti_depth", root, LINES[:1], augment=True, zoom=1.2)
    assert zoomed.sample_truth(0, 0) is None


# ---- samples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lanczos", "bilinear", "float_bilinear"])
def test_everything_at_once(tmp_path, name):
    """All frames, K and depth of a sample follow one draw; the spots of the depth lie where the image says."""
    root = write_drive(tmp_path)
    write_annotated(root, 1)
    dataset = open_lines("kitti_depth", root, LINES[:1], frames=(0, 1), depth=True, filter=name, **RANDOM)
    assert {dataset.augmentation((epoch, 0)).mirrored for epoch in range(8)} == {False, True}
    for epoch in range(8):
        sample, drawn = dataset[epoch, 0], dataset.augmentation((epoch, 0))
        view = View(32, 64, (8, 36, 20, 100), drawn.mirrored, drawn.zoom)
        for frame, number in ((0, 1), (1, 2)):
            image = Image.fromarray(noise(HEIGHT, WIDTH, 10 * number + 2)).crop((20, 8, 120, 44))
            if drawn.mirrored:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            (h, w), (left, top) = drawn.zoom.place(36, 100)
            if name != "float_bilinear":
                resample = Image.Resampling[name.upper()]
                image = image.resize((w, h), resample).crop((left, top, left + 100, top + 36))
                expected = np.asarray(image.resize((64, 32), resample))
            else:
                import cv2

                floats = cv2.resize(np.asarray(image, np.float32) / 255, (w, h))[
                    top : top + 36, left : left + 100
                ]
                expected = cv2.resize(floats, (64, 32))
            assert sample[f"image_{frame}_0"].dtype == expected.dtype
            np.testing.assert_array_equal(sample[f"image_{frame}_0"], expected)
        np.testing.assert_array_equal(sample["K"], dataset.K(LINES[0], view))
        np.testing.assert_array_equal(sample["depth"][0], view.apply(dataset.truth(LINES[0]), POINTS))
        fx = np.float32(0.58) * 64 * 1.28 * drawn.zoom.x  # 128 columns, of which 100 are kept
        assert_close(sample["K"][0, 0], fx, (1e-6, 0))


def test_zoomed_samples_are_never_taken_from_the_cache(tmp_path):
    root = write_drive(tmp_path)
    plain, cached = (open_lines("kitti", root, LINES, cache_images=size, **RANDOM) for size in (0, 9))
    for epoch in range(3):
        np.testing.assert_array_equal(plain[epoch, 0]["image_0_0"], cached[epoch, 0]["image_0_0"])


def test_levels_of_float_images(tmp_path):
    root = write_drive(tmp_path)
    sample = open_lines("kitti", root, LINES, filter="float_bilinear", scales=(0, 1, 2))[0, 0]
    for scale in (1, 2):
        level = sample[f"image_0_{scale}"]
        assert level.shape == (32 >> scale, 64 >> scale, 3) and level.dtype == np.float32
        blocks = sample[f"image_0_{scale - 1}"].reshape(32 >> scale, 2, 64 >> scale, 2, 3).mean((1, 3))
        assert_close(level, blocks)  # bilinear, half pixels: the mean of four


def test_needs_say_what_a_sample_holds(tmp_path):
    root = write_drive(tmp_path)

    def keys(**words) -> set[str]:
        return set(open_lines("kitti", root, LINES, frames=(0, "s"), scales=(0, 1), **words)[0, 0])

    assert keys() == {
        "image_0_0",
        "image_0_1",
        "image_s_0",
        "augmented_0",
        "augmented_s",
        "K",
        "T_stereo",
        "index",
    }
    assert keys(plain=False, intrinsics=False) == {"augmented_0", "augmented_s", "T_stereo", "index"}
    assert keys(augmented=False, intrinsics=False) == {
        "image_0_0",
        "image_0_1",
        "image_s_0",
        "T_stereo",
        "index",
    }
    assert keys(side=True) - keys() == {"side"} and keys(depth=True) - keys() == {"depth"}


def test_side_and_baseline(tmp_path):
    dataset = open_lines(
        "kitti", write_drive(tmp_path), LINES, frames=(0, "s"), side=True, baseline=0.015, augment=True
    )
    for epoch in range(8):
        for index, side in ((0, -1), (1, 1)):
            sample = dataset[epoch, index]
            assert sample["side"] == side and sample["side"].dtype == np.int64
            sign = -side if dataset.augmentation((epoch, index)).mirrored else side
            assert sample["T_stereo"][0, 3] == np.float32(sign * 0.015)


# ---- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "crop",
    [(0, 100, 0, 10), (-60, 0, 0, 10), (10, -45, 0, 10), (0.9, 20, 0, 10), (48, 0), (60, 0.5), (0.5, 20)],
)
def test_crops_that_do_not_fit(crop):
    with pytest.raises(UserError, match="leaves nothing of an image of 128x48, or reaches beyond it"):
        border_box(crop, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"filter": "nearest"}, "filter 'nearest' is none of lanczos, bilinear, float_bilinear"),
        ({"mirror": "left"}, "mirror 'left' is none of pixel_centres, edges"),
        ({"zoom": 0.9}, "must not be below 1"),
        ({"zoom": 1.1}, "is random and needs an augmentation"),
        ({"border_crop": (1, 2, 3)}, "two or four numbers"),
        ({"border_crop": (1, float("nan"))}, "two or four numbers"),
        ({"filter": "float_bilinear", "augmentation": AugmentationPolicy()}, "colours are changed on 8 bit"),
    ],
)
def test_preparations_that_cannot_work(words, message):
    with pytest.raises(UserError, match=message):
        Preparation(32, 64, **words)


def test_the_preparation_of_monodepth2():
    options = Monodepth2Options(height=64, width=96)
    assert options.preparation("val") == Preparation(64, 96)
    assert options.preparation("train") == Preparation(64, 96, augmentation=AugmentationPolicy())
    options.mirroring = False
    assert options.preparation("train").augmentation == AugmentationPolicy(mirroring=0.0)


@pytest.mark.parametrize("name", list(IMAGES))
def test_images_for_prediction_are_those_of_a_sample(name):
    """Whether they come as files did, one by one and of any size, or as a data set prepared them."""
    preparation = Preparation(32, 64, filter=name)
    images = [np.random.default_rng(n).integers(0, 256, (50, 70 + n, 3), np.uint8) for n in range(2)]
    kind, view = IMAGES[name], View.of(preparation, Augmentation())
    expected = np.stack([view.apply(kind.decode(Image.fromarray(image)), kind.medium) for image in images])
    made = network_images(images, preparation)
    assert made.dtype == (np.float32 if name == "float_bilinear" else np.uint8)
    assert np.array_equal(made, expected)
    assert np.array_equal(network_images(made, preparation), expected)
    assert np.array_equal(network_images(images[0], preparation), expected[:1])


def test_images_for_prediction_in_numbers_nobody_asked_for():
    floats = np.zeros((1, 32, 64, 3), np.float32)
    with pytest.raises(UserError, match=r"image 0 .*: float32 of shape .*expected uint8"):
        network_images(floats, Preparation(32, 64))
    with pytest.raises(UserError, match="float32 of shape"):
        network_images(floats[:, 1:], Preparation(32, 64, filter="float_bilinear"))


KINDS = ["file", "name", "pillow", "grey", "grey of three", "grey pillow", "opaque", "list", "one"]


@pytest.mark.parametrize("kind", KINDS)
def test_images_for_prediction_as_people_have_them(tmp_path, kind):
    rng = np.random.default_rng(0)
    rgb, grey = rng.integers(0, 256, (40, 70, 3), np.uint8), rng.integers(0, 256, (40, 70), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    three = np.repeat(grey[..., None], 3, axis=2)
    given, meant = {
        "file": (tmp_path / "a.png", rgb),
        "name": (str(tmp_path / "a.png"), rgb),
        "pillow": (Image.fromarray(rgb), rgb),
        "grey": (grey, three),
        "grey of three": (grey[:, :, None], three),
        "grey pillow": (Image.fromarray(grey), three),
        "opaque": (np.dstack([rgb, grey]), rgb),
        "list": ([tmp_path / "a.png"], rgb),
        "one": ([Image.fromarray(rgb)], rgb),
    }[kind]
    preparation = Preparation(32, 64)
    np.testing.assert_array_equal(network_images(given, preparation), network_images(meant, preparation))


def test_images_for_prediction_of_16_bits(tmp_path):
    with pytest.raises(UserError, match=r"an image of Pillow: has more than 8 bits a channel \(I;16\)"):
        network_images(Image.fromarray(np.ones((40, 70), np.uint16)), Preparation(32, 64))
    with pytest.raises(UserError, match=r"image 0 .*expected uint8 RGB"):
        network_images(np.ones((40, 70), np.uint16), Preparation(32, 64))
