"""Lists of which some lines lack a neighbour, a measured depth or a pose: left out, or unknown; always counted."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from core.datasets import open_dataset
from core.datasets.ground_truth import SparseDepth, save_ground_truth
from core.datasets.inspection import inspect
from core.datasets.kitti import annotated_depth_path, depth_path, scan_path
from core.datasets.loader import batches
from core.datasets.oxts import oxts_path
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing, Needs
from tests.core.kitti_folder import DATE, DRIVE, HEIGHT, WIDTH, noise, write_annotated, write_drive
from tests.core.samples import open_lines

PROJECTED, GROUNDTRUTH = "proj_depth/velodyne", "proj_depth/groundtruth"
LINES = [SplitLine(DRIVE, frame, "l") for frame in range(5)]  # the ends have no neighbours


@dataclasses.dataclass
class Lists(Monodepth2Options):
    """A method with lists and needs of a test."""

    @property
    def stereo_scale_factor(self):
        return 1.0

    def needs(self, part):
        return self.given_needs

    def listings(self, part):
        return self.given_listings


def options(needs, *listings):
    found = Lists(height=32, width=64, png=True, batch_size=2, num_workers=0)
    found.given_needs, found.given_listings = needs, list(listings)
    return found


@pytest.fixture
def root(tmp_path):
    """The drive, its list, and annotated depth of frames 0, 2 and 3."""
    root = write_drive(tmp_path / "kitti", scans=False)
    for frame in (0, 2, 3):
        write_annotated(root, frame)
    (root / "list.txt").write_text("".join(f"{DRIVE}/image_02/data/{n:010d}.png more\n" for n in range(5)))
    return root


def listing(root, **words):
    return Listing("kitti", str(root), "list.txt", drop_incomplete=True, **words)


# ---- the target once more ----------------------------------------------------------------------------------------


def test_the_target_stands_in_for_a_missing_neighbour(root):
    lists = Listing("kitti", str(root), "list.txt", repeat_target=True)
    dataset = open_dataset(options(Needs(frames=(0, -1, 1)), lists), "train")
    assert len(dataset) == 5
    assert dataset.news() == [
        "list.txt: in 2 of 5 lines the target stands in for a neighbour that is not there"
    ]
    first, second = dataset[0, 0], dataset[0, 1]
    np.testing.assert_array_equal(first["image_-1_0"], first["image_0_0"])
    assert (first["image_1_0"] != first["image_0_0"]).any()
    assert (second["image_-1_0"] != second["image_0_0"]).any()
    lines, bad = inspect(dataset, 0, None)
    assert not bad and "5 samples of frames 0 -1 1" in lines[0]


def test_nothing_stands_in_for_a_missing_target(root):
    target = root / DATE / DRIVE.split("/")[-1] / "image_02" / "data" / "0000000002.png"
    assert target.is_file()
    target.unlink()
    lists = Listing("kitti", str(root), "list.txt", repeat_target=True)
    with pytest.raises(UserError, match=r"0000000002\.png: no such image"):
        open_dataset(options(Needs(frames=(0, -1, 1)), lists), "train")


# ---- left out ------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_said_in_one_line(root):
    needs = Needs(frames=(0, -1, 1), depth=True)
    dataset = open_dataset(options(needs, listing(root, depth=GROUNDTRUTH)), "train")
    assert [line.frame for line in dataset.lines] == [2, 3] and len(dataset) == 2
    assert dataset.news() == [
        "list.txt: 3 of 5 lines are left out: 2 without neighbouring images, 1 without depth (proj_depth/groundtruth)"
    ]
    sample = dataset[0, 1]
    assert sample["index"] == 1 and sample["depth"].any()
    assert dataset.describe(1) == f"line 4 of the split ({DRIVE} 3 l)"
    plain = open_lines("kitti", root, [SplitLine(DRIVE, 3, "l")], frames=(0, -1, 1))[0, 0]
    np.testing.assert_array_equal(sample["image_-1_0"], plain["image_-1_0"])


def test_validation_without_neighbours_keeps_the_ends(root):
    """Only a depth that the list names counts; of a file of ground truth every line has its row."""
    dataset = open_dataset(options(Needs(), listing(root)), "val")
    assert len(dataset) == 5 and not dataset.news()
    dataset = open_dataset(options(Needs(), listing(root, depth=GROUNDTRUTH)), "val")
    assert [line.frame for line in dataset.lines] == [0, 2, 3] and dataset.has_truth
    assert all(dataset.truth(line).any() for line in dataset.lines)
    maps = [SparseDepth((1, 2), np.int32([0]), np.float32([line.frame + 1]), str(line)) for line in LINES]
    save_ground_truth(root / "gt.npz", maps)
    given = listing(root, depth=GROUNDTRUTH, ground_truth=str(root / "gt.npz"))
    dataset = open_dataset(options(Needs(frames=(0, 1)), given), "val")
    assert [int(dataset.truth(line)[0, 0]) - 1 for line in dataset.lines] == [0, 1, 2, 3]


def test_otherwise_nothing_is_left_out(root):
    strict = dataclasses.replace(listing(root), drop_incomplete=False)
    with pytest.raises(UserError, match=r"0000000005\.png: no such image .*list\.txt, line 5"):
        open_dataset(options(Needs(frames=(0, 1)), strict), "train")
    strict = dataclasses.replace(strict, depth="annotated")
    dataset = open_dataset(options(Needs(depth=True), strict), "train")
    assert dataset.news() == [
        f"list.txt: 2 of 5 samples lack depth (annotated), such as line 2 of the split ({DRIVE} 1 l)"
    ]
    assert [bool(dataset[0, index]["depth"].any()) for index in range(5)] == [True, False, True, True, False]


def test_a_missing_target_is_a_mistake(root):
    (root / DRIVE / "image_02" / "data" / "0000000002.png").unlink()
    with pytest.raises(
        UserError,
        match=r"0000000002\.png: no such image \(1 are missing\); .*list\.txt, line 3 \(.* needs it; 1 of \d+ lines",
    ):
        open_dataset(options(Needs(), listing(root)), "train")


def test_a_list_of_which_nothing_is_left(root):
    with pytest.raises(
        UserError, match=r"no line of the list can be used \(5 without depth \(proj_depth/velodyne\)"
    ):
        open_dataset(options(Needs(depth=True), listing(root, depth=PROJECTED)), "train")
    with pytest.raises(UserError, match="5 without neighbouring images"):
        open_dataset(options(Needs(frames=(0, 9)), listing(root)), "train")


def test_lines_without_poses(root):
    (root / DATE / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n")
    needs = Needs(frames=(0, -1, 1), motion=True)
    with pytest.raises(UserError, match=r"no line of the list can be used .*3 without known poses"):
        open_dataset(options(needs, listing(root)), "train")
    for frame in range(4):
        path = oxts_path(root, DRIVE, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(map(str, [49.0, 8.0 + 1e-5 * frame, 112, 0, 0, 0, *[0] * 24])))
    dataset = open_dataset(options(needs, listing(root)), "train")
    assert [line.frame for line in dataset.lines] == [1, 2]
    assert dataset.news()[-1] == (
        "list.txt: 3 of 5 lines are left out: 2 without neighbouring images, 1 without known poses"
    )
    moved = np.linalg.norm(dataset[0, 0]["T_1"][:3, 3])
    assert abs(moved - np.radians(1e-5) * 6378137 * np.cos(np.radians(49))) < 1e-3  # metres
    strict = dataclasses.replace(listing(root), drop_incomplete=False, split=str(root / "inner.txt"))
    (root / "inner.txt").write_text("".join(f"{line}\n" for line in LINES[1:4]))
    with pytest.raises(UserError, match="no such packet of the inertial unit"):
        open_dataset(options(needs, strict), "train")


# ---- several lists -------------------------------------------------------------------------------------------


def test_lists_with_and_without_depth_in_one_batch(root, tmp_path):
    """What has no sensor is unknown everywhere, never NaN, and said."""
    (tmp_path / "own").mkdir()
    for frame in range(3):
        Image.fromarray(noise(HEIGHT, WIDTH, frame)).save(tmp_path / "own" / f"{frame:06d}.png")
    (tmp_path / "own" / "list.txt").write_text(". 1\n")
    own = Listing("folder", str(tmp_path / "own"), "list.txt", repeat=2, drop_incomplete=True)
    needs = Needs(frames=(0, -1, 1), depth=True)
    dataset = open_dataset(options(needs, listing(root, depth=GROUNDTRUTH, repeat=3), own), "train")
    assert len(dataset) == 3 * 2 + 2
    news = dataset.news()
    assert sum("lines are left out" in line for line in news) == 1
    assert f"{tmp_path / 'own'}: none of its 1 samples has measured depth, of which the loss learns" in news
    known = {}
    for batch in batches(dataset, 0, 4, True, 0, 0, True):
        assert batch["depth"].shape == (4, 1, 32, 64) and np.isfinite(batch["depth"]).all()
        known |= dict(zip(batch["index"].tolist(), batch["depth"].any(axis=(1, 2, 3)).tolist(), strict=True))
    assert known == {index: index < 6 for index in range(8)}
    with pytest.raises(
        UserError, match="has no measured depth, which the loss needs; name another by --dataset"
    ):
        open_dataset(options(needs, own), "train")


# ---- depth files ---------------------------------------------------------------------------------------------


def write_projected(root, frame, camera=2, **arrays):
    path = depth_path(root, DRIVE, frame, camera, "velodyne", ".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["kitti", "kitti_depth"])
def test_files_beside_the_images(root, name):
    depth = np.zeros((HEIGHT, WIDTH), np.float32)
    depth[5, 7], depth[40, 100], depth[0, 0], depth[1, 1] = 12.5, 80.25, -1, np.nan
    path = write_projected(root, 2, velodyne_depth=depth, other=np.ones(3))
    assert path == root / DRIVE / "proj_depth/velodyne/image_02/0000000002.npz"
    both = Listing(name, str(root), "", depth=GROUNDTRUTH, input_depth=PROJECTED)
    dataset = open_lines(name, both, [LINES[2]], depth=True, height=HEIGHT, width=WIDTH)
    dataset.check_files()
    sample = dataset[0, 0]
    np.testing.assert_array_equal(sample["input_depth"][0], np.where(depth > 0, depth, 0))
    pixels = np.asarray(Image.open(annotated_depth_path(root, DRIVE, 2, 2)))
    np.testing.assert_array_equal(sample["depth"][0], pixels.astype(np.float32) / 256)
    np.testing.assert_array_equal(dataset.truth(LINES[2]), sample["depth"][0])


def test_depth_files_that_are_none(root):
    dataset = open_lines("kitti", Listing("kitti", str(root), "", depth=PROJECTED), LINES)
    write_projected(root, 1, depth=np.ones((2, 2)))
    with pytest.raises(UserError, match=r"0000000001\.npz: holds depth, but no velodyne_depth; copy"):
        dataset.truth(LINES[1])
    for wrong in (np.ones(3), np.array([["a"]]), np.ones((2, 2, 2))):
        write_projected(root, 1, velodyne_depth=wrong)
        with pytest.raises(UserError, match=r"0000000001\.npz: .*not a depth map"):
            dataset.truth(LINES[1])
    write_projected(root, 1, velodyne_depth=np.array([{}], object))
    with pytest.raises(UserError, match=r"0000000001\.npz"):
        dataset.truth(LINES[1])
    dataset = open_lines("kitti", Listing("kitti", str(root), "", depth=GROUNDTRUTH), LINES)
    Image.fromarray(np.full((4, 4), 255, np.uint16)).save(annotated_depth_path(root, DRIVE, 2, 2))
    with pytest.raises(UserError, match=r"0000000002\.png: no depth of a metre or more"):
        dataset.truth(LINES[2])
    assert dataset.truth(LINES[4]) is None and not scan_path(root, DRIVE, 4).is_file()
