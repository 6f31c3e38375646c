"""What `train.py --dry_run` says of data sets; the run itself: tests/backends/test_own_data.py."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.inspection import inspect
from core.datasets.splits import SplitLine
from core.plausibility import checks
from tests.core.kitti_folder import noise
from tests.core.own_images import numbered, write_images, write_video
from tests.core.samples import open_lines
from tests.scripts import assert_says


def described(root, lines, decode=0, baseline=None, name="folder", **changes):
    settings = {"frames": (0, -1, 1), "height": 64, "width": 128, "augment": True}
    data = open_lines(name, root, [SplitLine(*line) for line in lines], **(settings | changes))
    text, bad = inspect(data, decode, baseline)
    return "\n".join(text), bad


def test_sequences_sizes_and_intrinsics(tmp_path):
    write_images(tmp_path / "a", numbered(range(4)))
    write_images(tmp_path / "b", numbered(range(4)), size=(40, 100))
    (tmp_path / "b" / "intrinsics.yaml").write_text(
        "fx: 90\nfy: 44\ncx: 49.5\ncy: 9.5\nwidth: 100\nheight: 40\n"
    )
    text, bad = described(tmp_path, [("a", 1, "l"), ("a", 2, "l"), ("b", 2, None)])
    assert_says(
        text,
        *("2 sequences, 3 samples of frames 0 -1 1, 7 images", "image sizes: 96x48 (4), 100x40 (3)"),
        "fx 0.866 fy 1.732 cx 0.5 cy 0.5 (an estimate: 60° horizontal field of view): a",
        f"fx 0.9 fy 1.1 cx 0.5 cy 0.25 ({tmp_path / 'b' / 'intrinsics.yaml'}): b",
        "unreadable: 0 of 7 images",
    )
    assert bad == [] and "frame rate" not in text and "stereo" not in text


def test_intrinsics_of_kitti(shared):
    text, _ = described(
        shared / "data/kitti_raw_mono", [("2011_09_26/2011_09_26_drive_9001_sync", 2, "l")], name="kitti"
    )
    assert_says(
        text, "fx 0.58 fy 1.92 cx 0.5 cy 0.5 (nominal", "image sizes: 1242x375 (3)", "motion to frame 1: "
    )
    assert "LITTLE" not in text and "MUCH" not in text


@pytest.mark.parametrize(("shift", "words"), [(0, "LITTLE"), (12, None), (32, "MUCH")])
def test_motion(tmp_path, shift, words):
    blobs = Image.fromarray(noise(40, 150, 0))
    wide = np.asarray(blobs.resize((600, 160), Image.Resampling.BICUBIC))
    tmp_path.joinpath("a").mkdir()
    for frame in range(4):
        Image.fromarray(wide[:, shift * frame : shift * frame + 320]).save(tmp_path / "a" / f"{frame}.png")
    text, _ = described(tmp_path, [("a", 1, "l"), ("a", 2, "l")], frames=[0, 1])
    found = [word for word in ("LITTLE", "MUCH") if word in text]
    assert found == ([words] if words else [])
    if shift == 12:
        pixels = float(text.partition("median optical flow ")[2].split()[0])
        assert pixels == pytest.approx(12 * 128 / 320, rel=0.1)


@pytest.mark.parametrize("exchanged", [False, True])
def test_baseline_sign(tmp_path, capsys, exchanged):
    """A slanted wall: disparities from 4 to 30 pixels."""
    rng = np.random.default_rng(0)
    texture = noise(160, 800, 0).astype(float) + rng.normal(0, 10, (160, 800, 3))
    columns = np.arange(400) + 200
    for frame in range(3):
        for side, sign in (("left", 0), ("right", 1)):
            disparity = np.linspace(4, 30, 160).astype(int)
            rows = [texture[y, columns + sign * disparity[y]] for y in range(160)]
            folder = tmp_path / "pair" / ({"left": "right", "right": "left"}[side] if exchanged else side)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(np.stack(rows), 0, 255).astype(np.uint8)).save(folder / f"{frame}.png")
    lines = [("pair", 0, "l"), ("pair", 1, "r"), ("pair", 2, "l")]
    capsys.readouterr()
    checks.begin(offered=False)
    text, _ = described(tmp_path, lines, frames=[0, "s"], baseline=None if exchanged else 0.12)
    split = [SplitLine(*line) for line in lines]
    open_lines("folder", tmp_path, split, frames=(0, "s"), height=64, width=128).check_rig(None)
    assert (
        "left and the right images look exchanged (all of 3 stereo" in capsys.readouterr().err
    ) is exchanged
    assert len(checks.warnings()) == exchanged
    if exchanged:
        assert_says(
            text, "stereo: WRONG: exchange the left and the right images (3 of 3 pairs", "baseline: not known"
        )
    else:
        assert_says(text, "stereo: left is left (3 of 3 pairs", "stereo baseline: 0.12 m")


def test_images_that_are_no_pair(tmp_path):
    for side in ("left", "right"):
        (tmp_path / "pair" / side).mkdir(parents=True)
        Image.fromarray(np.full((48, 96, 3), 90, np.uint8)).save(tmp_path / "pair" / side / "1.png")
    text, _ = described(tmp_path, [("pair", 1, "l")], frames=[0, "s"])
    assert "stereo: UNCLEAR" in text


@pytest.mark.parametrize("decode", [0, 3])
def test_unreadable_images(tmp_path, decode):
    write_images(tmp_path / "a", numbered(range(8)))
    (tmp_path / "a" / "000002.png").write_bytes(b"no image")  # its header says so
    path = tmp_path / "a" / "000004.png"
    path.write_bytes(path.read_bytes()[:-200])  # its header does not
    text, bad = described(tmp_path, [("a", frame, "l") for frame in range(1, 7)], decode=decode)
    names = [error.path.name for error in bad]
    assert names == (["000002.png"] if decode else ["000002.png", "000004.png"])
    assert_says(text, f"unreadable: {len(names)} of 8 images", *(f"  {error}" for error in bad))
    assert ("3 decoded, of the others only the header; all: --dry_run_images 0" in text) == bool(decode)
    assert "motion to frame 1: " in text  # of the readable ones: frames 6 and 7


def test_frame_rate(tmp_path):
    import make_split

    video = write_video(tmp_path / "drive.avi", frames=12, rate=12.5)
    make_split.main(["--data_path", str(video)])
    text, _ = described(video, [(".", 1, "l"), (".", 2, "l")])
    assert "frame rate: 12.5 per second: ." in text
