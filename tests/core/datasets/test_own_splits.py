"""Split lists of own images: neighbours, what is held out, standing cameras; and make_split.py as a user runs it."""

import numpy as np
import pytest
from PIL import Image

import make_split as script
from core.datasets.motion import check_stereo, motion
from core.datasets.own_splits import make_split
from core.datasets.sequences import find_sequences
from core.datasets.splits import SplitLine, load_split
from core.datasets.videos import extract_videos, frame_rate
from core.errors import UserError
from tests.core.own_images import numbered, write_images, write_timed_video, write_video
from tests.core.samples import open_lines
from tests.scripts import assert_says, listing, refused, succeeds

FRAMEWORKS = ("torch", "paddle")


def frames(lines: list[SplitLine], folder: str, side: str = "l") -> list[int]:
    return [line.frame for line in lines if (line.folder, line.side) == (folder, side)]


def split_of(root, **changes):
    settings = {"frame_ids": [0, -1, 1], "use_stereo": False, "validation_share": 0.2}
    return make_split(find_sequences(root), **(settings | changes))


def used(lines: list[SplitLine], offsets: list[int]) -> set[tuple[str, int]]:
    return {(line.folder, line.frame + offset) for line in lines for offset in offsets}


def test_neighbours_and_gaps(tmp_path):
    write_images(tmp_path / "a", numbered([*range(3, 30), *range(31, 43)]))  # 30 is missing
    split = split_of(tmp_path)
    assert frames(split.train, "a") + frames(split.val, "a") == [
        *range(4, 29),
        *range(32, 33),
        *range(35, 42),
    ]
    assert len(split.val) == round(0.2 * 35)
    assert (split.images, split.without_neighbours, split.static, split.between) == (39, 4, 0, 2)


@pytest.mark.parametrize("frame_ids", [[0, -1, 1], [0, -3, 2], [0, 1], [0]])
def test_training_and_validation_share_no_image(tmp_path, frame_ids):
    for name in ("a", "b"):
        write_images(tmp_path / name, numbered(range(40)))
    split = split_of(tmp_path, frame_ids=frame_ids)
    train, val = used(split.train, frame_ids), used(split.val, frame_ids)
    assert train and val and not train & val
    assert {name for name, _ in val} == {"a", "b"}
    assert all(0 <= frame < 40 for _, frame in train | val)


def test_whole_sequences_are_held_out_of_many(tmp_path):
    for number in range(10):
        write_images(tmp_path / f"drive{number}", numbered(range(4 + number % 3)))
    split = split_of(tmp_path)
    train, val = ({line.folder for line in lines} for lines in (split.train, split.val))
    assert not train & val and len(train | val) == 10
    assert 0.1 < len(split.val) / (len(split.train) + len(split.val)) < 0.4
    assert split == split_of(tmp_path)


def test_stereo(tmp_path):
    for side in ("left", "right"):
        write_images(tmp_path / "pair" / side, numbered(range(20)))
    (tmp_path / "pair" / "right" / "000005.png").unlink()
    write_images(tmp_path / "single", numbered(range(20)))
    split = split_of(tmp_path, frame_ids=[0], use_stereo=True)
    lines = split.train + split.val
    assert {line.folder for line in lines} == {"pair"}
    for side in "lr":
        assert sorted(frames(lines, "pair", side)) == [n for n in range(20) if n != 5]
    assert [str(line) for line in split.train[:3]] == ["pair 0 l", "pair 0 r", "pair 1 l"]
    video = split_of(tmp_path)  # both cameras are training images without being a pair, too
    assert frames(video.train, "single")[0] == 1 and frames(video.train, "pair", "r")[:4] == [1, 2, 3, 7]


def test_standing_frames_are_left_out(tmp_path):
    write_images(tmp_path / "a", numbered(range(40)))
    seen = []

    def measure(one, other):
        seen.append((one, other))
        return 0.1 / 640 if 10 <= int(one.stem) < 15 else 3 / 640  # still from 10 to 15

    split = split_of(tmp_path, skip_static=0.5, measure=measure)
    kept = frames(split.train, "a") + frames(split.val, "a")
    assert not set(range(10, 16)) & set(kept) and {9, 16} <= set(kept)
    assert split.static == 6
    assert len(seen) == len(set(seen)) == 39  # each pair of neighbours once


def test_motion_of_known_images(tmp_path):
    rng = np.random.default_rng(0)
    wide = np.asarray(
        Image.fromarray(rng.integers(0, 256, (48, 120, 3), np.uint8)).resize(
            (960, 384), Image.Resampling.BICUBIC
        )
    )
    first = wide[:, 40:840].copy()
    Image.fromarray(first).save(tmp_path / "first.png")
    noisy = np.clip(first + rng.normal(0, 3, first.shape), 0, 255).astype(np.uint8)
    noisy[100:200, 100:300] = rng.integers(0, 256, 3)  # something passes by
    Image.fromarray(noisy).save(tmp_path / "still.png")
    Image.fromarray(wide[:, 60:860]).save(tmp_path / "moved.png")
    assert motion(tmp_path / "first.png", tmp_path / "first.png") == 0
    assert motion(tmp_path / "first.png", tmp_path / "still.png") * 640 < 0.3
    assert motion(tmp_path / "first.png", tmp_path / "moved.png") == pytest.approx(20 / 800, rel=0.1)


def test_motion_and_sides_of_real_images(shared):
    drive = shared / "data/kitti_stereo_02/raw/2011_10_03/2011_10_03_drive_0034_sync"
    left, right = (drive / f"image_{camera:02d}" / "data" / "0000000000.png" for camera in (2, 3))
    assert 2 < motion(left, left.with_name("0000000001.png")) * 640 < 10
    cones = shared / "data/middlebury2003/cones"
    for one, other in ((left, right), (cones / "im2.png", cones / "im6.png")):
        assert check_stereo(one, other).is_right is True
        assert check_stereo(other, one).is_right is False
        assert check_stereo(one, one).is_right is None
    assert 0.05 < check_stereo(cones / "im2.png", cones / "im6.png").disparity < 0.15


# ---- the script ----------------------------------------------------------------------------------------------


def test_make_split(tmp_path):
    write_images(tmp_path / "drives" / "a", numbered(range(30)))
    printed = succeeds("make_split.py", "--data_path", tmp_path / "drives", without=FRAMEWORKS)
    lists = tmp_path / "drives" / "splits"
    train, val = load_split(lists, "train"), load_split(lists, "val")
    assert_says(
        printed, "1 sequences", "30 images", f"{len(train)} for training, {len(val)} for validation", lists
    )
    dataset = open_lines("folder", tmp_path / "drives", train, frames=(0, -1, 1))
    dataset.check_files()
    assert dataset[0, 0]["image_-1_0"].shape == (32, 64, 3)


def test_make_split_of_videos(tmp_path, capsys):
    video = write_video(tmp_path / "videos" / "drive.avi", frames=20)
    (tmp_path / "videos" / "intrinsics.yaml").write_text(
        "fx: 80\nfy: 80\ncx: 47\ncy: 23\nwidth: 96\nheight: 48\n"
    )
    script.main(["--data_path", str(video)])
    folder = tmp_path / "videos" / "drive_frames"
    assert_says(capsys.readouterr().out, f"{video}: 20 frames, 12.5 per second, written to {folder}")
    lines = load_split(folder / "splits", "train")
    dataset = open_lines("folder", video, lines, frames=(0, -1, 1))
    dataset.check_files()
    assert str(lines[0]) == ". 1 l"
    assert dataset.frame_rate(lines[0]) == 12.5
    assert dataset.K_source(lines[0]) == str(tmp_path / "videos" / "intrinsics.yaml")
    shifted = (
        np.asarray(Image.open(folder / "000001.jpg"))[:, :-4],
        np.asarray(Image.open(folder / "000000.jpg"))[:, 4:],
    )
    assert np.abs(shifted[0].astype(int) - shifted[1]).mean() < 4
    write_video(tmp_path / "videos" / "drive_disp.mp4", frames=20)  # as predict.py writes it
    before = listing(folder)
    script.main(["--data_path", str(tmp_path / "videos"), "--output", str(tmp_path / "lists")])
    assert_says(capsys.readouterr().out, "its frames are already in", "1 sequences")
    assert {line.folder for line in load_split(tmp_path / "lists", "train")} == {"drive_frames"}
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("durations", "rate", "holes", "frames"),
    [
        # W6: 5.95745 per second, and frames 9 and 10 in the list.
        (
            [(9, 1024), (1, 20480), (18, 1024)],
            10,
            "1 hole, the longest after frame 9 (2 s)",
            {9: 9, 10: 29, 27: 46},
        ),
        # A camera that takes half as many in the dark.
        (
            [(10, 1024), (8, 2048)],
            10,
            "7 holes, the longest after frame 10 (0.2 s)",
            {10: 10, 11: 12, 17: 24},
        ),
        # Frames that a telephone dropped, and a clock that trembles.
        ([(4, 341), (1, 342), (1, 683), (3, 340), (1, 1024), (9, 341)], 30, "2 holes", {5: 5, 6: 7, 10: 13}),
        ([(28, 1024)], 10, "", {0: 0, 27: 27}),
        ([(5, 1000), (5, 1048), (5, 1024)], 10, "", {14: 14}),
    ],
)
def test_a_video_s_own_times(tmp_path, durations, rate, holes, frames):
    video = write_timed_video(tmp_path / "v.mp4", durations)
    (said,) = extract_videos(video)
    assert f"{sum(n for n, _ in durations)} frames, {rate:g}" in said
    assert holes in said and (" hole" in said) == bool(holes)
    found = list(find_sequences(tmp_path / "v_frames")["."].cameras[2])
    assert {count: found[count] for count in frames} == frames and len(found) == sum(n for n, _ in durations)
    assert frame_rate(tmp_path / "v_frames") == pytest.approx(rate, rel=0.005)


def test_frames_across_a_hole_are_in_no_list(tmp_path, capsys):
    """W6."""
    video = write_timed_video(tmp_path / "v.mp4", [(9, 1024), (1, 20480), (18, 1024)])
    script.main(["--data_path", str(video)])
    assert_says(capsys.readouterr().out, "10 per second", "the longest after frame 9 (2 s)")
    lists = tmp_path / "v_frames" / "splits"
    lines = {line.frame for part in ("train", "val") for line in load_split(lists, part)}
    assert lines <= {*range(1, 9), *range(30, 46)} and not {9, 10, 29} & lines and 8 in lines and 30 in lines


@pytest.mark.parametrize("share", [0, 0.5])
def test_damaged_video(tmp_path, share):
    video = write_video(tmp_path / "drive.avi", frames=30)
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * share)])
    assert_says(refused("make_split.py", "--data_path", video, folder=tmp_path, here=True), video, "damaged")


def test_make_split_refuses(tmp_path):
    write_images(tmp_path / "a", numbered(range(30)))

    def refuses(match, *arguments, path=tmp_path):
        before = listing(tmp_path)
        with pytest.raises(UserError, match=match):
            script.main(["--data_path", str(path), *map(str, arguments)])
        assert listing(tmp_path) == before

    refuses("nowhere: no such folder or video", path=tmp_path / "nowhere")
    refuses("validation_share: must be between", "--validation_share", 1)
    refuses("skip_static: needs neighbours", "--frame_ids", 0, "--skip_static", 1)
    refuses("the first must be 0", "--frame_ids", 1, 0)
    refuses("too few images for both lists.*30 without neighbours", "--use_stereo")
    refuses("too few images for both lists.*0 for validation", "--validation_share", 0.001)
    (tmp_path / "splits").mkdir()
    refuses("splits: is already there; remove it or choose another --output")
    (tmp_path / "a" / "000003.png").write_bytes(b"damaged")
    refuses(r"000003\.png: damaged", "--skip_static", 0.5, "--output", tmp_path / "lists")
    (tmp_path / "drive_frames").mkdir()
    (tmp_path / "drive.mp4").write_bytes(b"x")
    refuses(r"drive_frames: not the frames of .*drive\.mp4", "--output", tmp_path / "lists")
