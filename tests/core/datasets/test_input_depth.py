"""The depth that networks take: which of its points, and from which files."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.augmentation import draw
from core.datasets.input_depth import (
    find_input_depth,
    fixed_points,
    network_depths,
    read_input_depth,
    require_input_depth,
    thin,
)
from core.datasets.preparation import scatter
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.needs import USUAL, AugmentationPolicy, Listing, Preparation
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.samples import open_lines


@pytest.fixture
def depth():
    rng = np.random.default_rng(0)
    return np.where(rng.random((20, 30)) < 0.2, rng.uniform(1, 80, (20, 30)), 0).astype(np.float32)


# ---- which points ----------------------------------------------------------------------------------------------


def test_a_share_of_the_points(depth):
    before, count = depth.copy(), int((depth > 0).sum())
    found = {share: thin(depth, share, fixed_points("a")) for share in (0.1, 0.5, 1)}
    np.testing.assert_array_equal(depth, before)
    for share, thinned in found.items():
        kept = thinned > 0
        assert kept.sum() == round(share * count) and thinned.dtype == np.float32
        np.testing.assert_array_equal(thinned[kept], depth[kept])
    assert ((found[0.1] > 0) <= (found[0.5] > 0)).all()
    assert (thin(depth, 1e-6, fixed_points("a")) > 0).sum() == 1
    assert not thin(np.zeros((4, 6), np.float32), 0.5, fixed_points("a")).any()
    assert (thin(depth, 0.5, fixed_points("b")) != found[0.5]).any()


def test_points_are_drawn_last():
    """What is drawn besides stays what it is where all points stay."""
    policy = AugmentationPolicy(per_frame=True, channels=(0.5, 1.5), jitter=1)
    for seed in range(5):
        plain, thinned = (draw(np.random.default_rng(seed), policy, 1.2, 2, word) for word in (False, True))
        assert plain.points is None and thinned.points is not None
        for name in ("jitter", "mirrored", "zoom", "jitter_of_sources"):
            assert getattr(plain, name) == getattr(thinned, name)


def test_samples_draw_their_points_anew_in_training_alone(tmp_path):
    root, lines = write_drive(tmp_path, 2), [SplitLine(DRIVE, frame, "l") for frame in (0, 1)]
    listing = Listing("kitti", str(root), "", input_depth="velodyne")
    words = {"height": 48, "width": 128, "mirroring": 0.0}
    every = open_lines("kitti", listing, lines, augment=True, **words)
    some = open_lines("kitti", listing, lines, augment=True, input_depth_points=0.3, **words)
    first, second, again = some[0, 0], some[1, 0], some[0, 0]
    np.testing.assert_array_equal(first["image_0_0"], every[0, 0]["image_0_0"])
    np.testing.assert_array_equal(first["augmented_0"], every[0, 0]["augmented_0"])
    np.testing.assert_array_equal(first["input_depth"], again["input_depth"])
    known = every[0, 0]["input_depth"] > 0
    assert (first["input_depth"] > 0).sum() == round(0.3 * known.sum())
    assert (first["input_depth"] != second["input_depth"]).any()
    words.pop("mirroring")
    fixed = open_lines("kitti", listing, lines, input_depth_points=0.3, **words)
    np.testing.assert_array_equal(fixed[0, 0]["input_depth"], fixed[5, 0]["input_depth"])
    other = open_lines("kitti", listing, lines, input_depth_points=0.3, seed=1, **words)
    assert (fixed[0, 0]["input_depth"] != other[0, 0]["input_depth"]).any()
    with pytest.raises(UserError, match="input depth points 0"):
        Preparation(32, 64, input_depth_points=0.0)


def test_samples_draw_their_share_in_training_alone(tmp_path):
    root, lines = write_drive(tmp_path, 2), [SplitLine(DRIVE, 0, "l")]
    listing = Listing("kitti", str(root), "", input_depth="velodyne")
    words = {"height": 48, "width": 128}
    every = open_lines("kitti", listing, lines, **words)[0, 0]["input_depth"]
    words |= {"input_depth_points": 0.5, "least_input_depth_points": 0.05}
    train = open_lines("kitti", listing, lines, augment=True, **words)
    shares = [(train[epoch, 0]["input_depth"] > 0).sum() / (every > 0).sum() for epoch in range(30)]
    assert 0.04 < min(shares) < 0.1 and 0.3 < max(shares) < 0.51
    assert abs(np.median(np.log(shares)) - np.log(0.05 * 0.5) / 2) < 0.7  # as many below the middle as above
    fixed = open_lines("kitti", listing, lines, **words)[0, 0]["input_depth"]
    assert (fixed > 0).sum() == round(0.5 * (every > 0).sum())
    for least in (-0.1, 0.6):
        with pytest.raises(UserError, match="least input depth points"):
            Preparation(32, 64, input_depth_points=0.5, least_input_depth_points=least)


def test_the_usual_depth_of_a_network(tmp_path):
    """Of KITTI the scan, also where the annotated depth teaches."""
    root, line = write_drive(tmp_path, 1), SplitLine(DRIVE, 0, "l")
    listing = Listing("", str(root), "", input_depth=USUAL)
    found = [open_lines(name, listing, [line])[0, 0]["input_depth"] for name in ("kitti", "kitti_depth")]
    assert (found[0] > 0).sum() > 100
    np.testing.assert_array_equal(*found)
    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "0.png")
    folder = open_lines("folder", Listing("", str(tmp_path), "", input_depth=USUAL), [SplitLine("a", 0)])
    with pytest.raises(UserError, match="no depth 'usual' in this data set; it has none"):
        folder.check_files()


# ---- from files ------------------------------------------------------------------------------------------------


def test_files_of_the_names_of_the_images(tmp_path, depth):
    images = [tmp_path / "images" / name for name in ("a.jpg", "b.png")]
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (30, 20)).save(images[1])
    with pytest.raises(UserError, match=r"images: no depth of .*a\.jpg: a\.npz, a\.npy or a\.png; add it"):
        find_input_depth(folder, images)
    Image.fromarray(np.round(depth * 256).astype(np.uint16)).save(folder / "a.png")
    with pytest.raises(UserError, match=r"no depth of .*b\.png"):  # which is the image
        find_input_depth(folder, images)
    np.save(folder / "b.npy", depth)
    files = find_input_depth(folder, images)
    assert [file.name for file in files] == ["a.png", "b.npy"]
    assert find_input_depth(files[0], images[:1]) == files[:1]
    read = [read_input_depth(file, (20, 30), 1.0) for file in files]
    np.testing.assert_array_equal(read[1], depth)
    assert abs(read[0] - depth).max() <= 1 / 512
    np.testing.assert_array_equal(network_depths(read, Preparation(10, 12))[1, 0], scatter(depth, 10, 12))
    assert (read_input_depth(files[1], (20, 30), 0.1) > 0).sum() == round(0.1 * (depth > 0).sum())
    np.testing.assert_array_equal(*(read_input_depth(files[1], (20, 30), 0.1) for _ in range(2)))


def test_files_that_cannot_be(tmp_path, depth):
    file, images = tmp_path / "a.npy", [tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.jpg"]
    with pytest.raises(UserError, match="no such file or folder"):
        find_input_depth(file, images[:1])
    np.save(file, depth)
    with pytest.raises(UserError, match=r"one file of depth for 2 images; name a folder"):
        find_input_depth(file, images)
    with pytest.raises(UserError, match="2 images are called a; predict them one by one"):
        find_input_depth(tmp_path, images)
    with pytest.raises(UserError, match=r"a\.npy: depth of 30x20, but its image has 32x20"):
        read_input_depth(file, (20, 32), 1.0)
    Image.fromarray(np.full((20, 30), 200, np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match="unit is not 1/256 m"):
        read_input_depth(tmp_path / "b.png", (20, 30), 1.0)
    Image.new("RGB", (30, 20)).save(tmp_path / "c.png")
    with pytest.raises(UserError, match="not a 16-bit depth image"):
        read_input_depth(tmp_path / "c.png", (20, 30), 1.0)
    require_input_depth(["image", "input_depth"], "runs/a", "made_up")
    with pytest.raises(
        UserError, match="runs/a: a model of made_up takes image alone; leave out --input_depth"
    ):
        require_input_depth(["image"], "runs/a", "made_up")
