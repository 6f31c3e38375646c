"""`precompute_depth_hints.py` as a user runs it: pairs of known disparity, a rendered street, real KITTI; mistakes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import precompute_depth_hints
from core.datasets.hints import making
from core.datasets.hints.files import read_coded, read_hint
from core.datasets.kitti import image_path
from core.errors import UserError
from core.files.images import load_image, resize, to_array
from core.rendering import writer
from core.rendering.camera import render
from core.rendering.rig import Rig
from tests.core.kitti_folder import noise
from tests.core.streets import street
from tests.scripts import assert_says, refused, succeeds

DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"
HEIGHT, WIDTH, SHIFT = 48, 256, 9
SIZE = ("--height", HEIGHT, "--width", WIDTH)
SCRIPT = "precompute_depth_hints.py"


def path_of(root: Path, camera: int, frame: int, kind: str = "data/") -> Path:
    return root / DRIVE / f"image_{camera:02d}" / kind / f"{frame:010d}.png"


def write_pair(root: Path, frame: int, shift: int) -> None:
    """Images whose left one is the right one, moved to the right."""
    wide = noise(HEIGHT, WIDTH + 64, frame)
    for camera, start in ((2, 64 - shift), (3, 64)):
        path = path_of(root, camera, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(wide[:, start : start + WIDTH]).save(path)


@pytest.fixture
def root(tmp_path):
    """Three pairs, and a list of both sides of them, the first line twice."""
    for frame in range(3):
        write_pair(tmp_path / "kitti", frame, SHIFT)
    lines = [f"{DRIVE} {frame} {side}" for frame in range(3) for side in "lr"]
    (tmp_path / "list.txt").write_text("\n".join([*lines, lines[0]]))
    return tmp_path / "kitti"


def words(root: Path, *more: object) -> list[object]:
    return ["--data_path", root, "--filenames", root.parent / "list.txt", *SIZE, "--num_workers", 1, *more]


def run(root: Path, *more: object) -> str:
    return succeeds(SCRIPT, *words(root, *more), here=True)


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
    }


def test_a_known_shift_is_found(root):
    said = run(root)
    assert_says(said, "depth_hints: 6 hints made, 0 were there already; ")
    for camera in (2, 3):
        coded = read_coded(path_of(root / "depth_hints", camera, 1, ""))
        known = coded.steps > 0
        assert known.mean() > 0.7 and (np.abs(coded.steps[known] - 16.0 * SHIFT) <= 1).mean() > 0.93
        depth = coded.depth()[0][coded.steps == 16 * SHIFT]
        assert np.unique(depth) == np.float32(0.58 * WIDTH * 0.1) / (np.float32(SHIFT) + np.float32(1e-7))


def test_it_goes_on_where_it_was(root, monkeypatch):
    """Interrupted in the middle, with signal or without: the same command ends at the same bytes."""
    whole = root.parent / "whole"
    run(root, "--save_path", whole)
    make, count = making.make, iter(range(10))

    def interrupted(job: making.Job, rule: making.Rule) -> making.Made:
        if next(count) == 2:
            raise KeyboardInterrupt
        return make(job, rule)

    monkeypatch.setattr(making, "make", interrupted)
    with pytest.raises(KeyboardInterrupt, match="finished hints are kept, the same command makes"):
        precompute_depth_hints.main([str(word) for word in words(root)])
    assert len(digest(root / "depth_hints")) == 2
    monkeypatch.setattr(making, "make", make)
    assert_says(run(root), "4 hints made, 2 were there already")
    assert digest(root / "depth_hints") == digest(whole)
    assert_says(run(root), "0 hints made, 6 were there already")
    assert_says(run(root, "--overwrite_saved_depths"), "6 hints made, 0 were there already")
    assert digest(root / "depth_hints") == digest(whole)


def test_the_number_of_processes_does_not_matter(root):
    run(root)
    lines = words(root, "--save_path", root.parent / "two", "--num_workers", 2)
    succeeds(SCRIPT, *lines, here=True)
    assert digest(root.parent / "two") == digest(root / "depth_hints")


def test_hints_of_another_kind_are_not_mixed(root):
    run(root)
    before = digest(root / "depth_hints")
    for other in (["--no_align_corners"], ["--exclude_invalid"], ["--height", 64]):
        message = refused(SCRIPT, *words(root, *other), folder=root.parent, here=True)
        assert_says(
            message, "0000000000.png: is a hint of another kind", "--overwrite, or another --save_path"
        )
    assert digest(root / "depth_hints") == before
    path = path_of(root / "depth_hints", 2, 0, "")
    np.save(path.with_suffix(".npy"), read_hint(path))
    path.unlink()  # the authors' own is left alone
    assert_says(run(root), "0 hints made, 6 were there already")
    path.write_bytes(b"")
    assert_says(
        refused(SCRIPT, *words(root), folder=root.parent, here=True),
        "not a readable depth hint",
        "delete it and make it again",
    )


def test_unreadable_pairs_are_named_and_all_others_made(root):
    bad, gone = path_of(root, 3, 1), path_of(root, 2, 2)
    bad.write_bytes(bad.read_bytes()[:500])
    gone.unlink()
    with pytest.raises(UserError, match="4 of 6 hints could not be made") as error:
        precompute_depth_hints.main([str(word) for word in words(root)])
    assert_says(str(error.value), f"{DRIVE} 1 l: {bad}: damaged", f"{DRIVE} 2 r: {gone}: no such image")
    assert set(digest(root / "depth_hints")) == {
        f"{DRIVE}/image_0{camera}/0000000000.png" for camera in (2, 3)
    }
    write_pair(root, 1, SHIFT)
    write_pair(root, 2, SHIFT)
    assert_says(run(root), "4 hints made, 2 were there already")


def test_the_folder_cannot_be_written(root):
    (root / "depth_hints").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        precompute_depth_hints.main([str(word) for word in words(root)])


def test_jpeg_and_names_of_splits(root):
    """Train and val of a folder of lists; `.jpg` as well as `.png`."""
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    lists = root.parent / "lists"
    lists.mkdir()
    (lists / "train_files.txt").write_text(f"{DRIVE} 0 l\n{DRIVE} 1 l\n")
    (lists / "val_files.txt").write_text(f"{DRIVE} 2 r\n{DRIVE} 1 l\n")
    (lists / "test_files.txt").write_text(f"{DRIVE} 0 r\n")
    said = succeeds(SCRIPT, "--data_path", root, "--split", lists, *SIZE, "--num_workers", 1, here=True)
    assert_says(said, "3 hints made")
    (lists / "train_files.txt").unlink()
    (lists / "val_files.txt").unlink()
    said = succeeds(SCRIPT, "--data_path", root, "--split", lists, *SIZE, "--num_workers", 1, here=True)
    assert_says(said, "1 hints made")


def test_hints_that_know_nothing_are_counted(root):
    """A wrong unit or an empty file would train without a word."""
    folder = root.parent / "zeros"
    folder.mkdir()
    for number in range(7):
        np.save(folder / f"{number}.npy", np.full((HEIGHT, WIDTH), float(number > 4), np.float32))
    said = run(root, "--from", folder, "--unit", "metres")
    assert_says(said, "6 hints made", "; 5 of them know no pixel")


def test_own_stereo_pairs_have_their_own_camera(root):
    """Not KITTI's focal length; folders left and right."""
    own = root.parent / "own"
    for camera, name in ((2, "left"), (3, "right")):
        (own / "walk" / name).mkdir(parents=True)
        image = Image.open(path_of(root, camera, 0))
        image.save(own / "walk" / name / "00.png")
    (own / "intrinsics.yaml").write_text(
        f"fx: 200\nfy: 200\ncx: 128\ncy: 24\nwidth: {WIDTH}\nheight: {HEIGHT}\nbaseline: 0.2\n"
    )
    (own / "list.txt").write_text("walk 0 l\nwalk 0 r\n")
    where = ("--dataset", "folder", "--data_path", own, "--split", own / "list.txt", "--num_workers", 1)
    assert_says(succeeds(SCRIPT, *where, *SIZE, here=True), "2 hints made")
    coded = read_coded(own / "depth_hints" / "walk" / "image_03" / "0000000000.png")
    assert coded.numerator == pytest.approx(200 * 0.1)
    depth = coded.depth()
    assert np.median(depth[depth > 0]) == pytest.approx(20 / SHIFT)
    (own / "walk" / "right").rename(own / "walk" / "other")
    (own / "walk" / "left").rename(own / "walk2")
    (own / "list.txt").write_text("walk2 0 l\n")
    assert_says(refused(SCRIPT, *where, *SIZE, folder=own, here=True), "has one camera")


def test_an_estimated_camera_is_said(root, capsys):
    """Without intrinsics the focal length is a guess, and so is all depth."""
    own = root.parent / "own"
    for camera, name in ((2, "left"), (3, "right")):
        (own / "walk" / name).mkdir(parents=True)
        Image.open(path_of(root, camera, 0)).save(own / "walk" / name / "00.png")
    (own / "list.txt").write_text("walk 0 l\n")
    where = [
        "--dataset",
        "folder",
        "--data_path",
        own,
        "--split",
        own / "list.txt",
        "--num_workers",
        1,
        *SIZE,
    ]
    precompute_depth_hints.main([*map(str, where)])
    assert "an estimate: 60° horizontal field of view" in capsys.readouterr().err
    precompute_depth_hints.main([*map(str, where), "--overwrite", "--intrinsics", "0.5", "1", "0.5", "0.5"])
    assert "estimate" not in capsys.readouterr().err


def test_a_rendered_street(tmp_path):
    """Median error of the hints against true depth, and the picture of both."""
    rig = Rig(160, 512)
    T_world_rectified = street().plan.T_world_rectified(1, rig)
    for camera in (2, 3):
        T = T_world_rectified @ np.linalg.inv(rig.T_camera_rectified(camera))
        image, depth = render(street().scene(1), T, rig.K, rig.height, rig.width, 1)
        file, truth = (
            writer.frame_files(tmp_path, 1, 0, "png")[f"{kind}_{camera:02d}"] for kind in ("image", "depth")
        )
        writer.write(file, writer.encode_image(image, "png"))
        writer.write(truth, writer.encode_depth(depth))
    (tmp_path / "list.txt").write_text(f"{writer.drive_name(1)} 0 r\n")
    where = ("--data_path", tmp_path, "--split", tmp_path / "list.txt", "--dataset", "kitti_depth")
    more = ("--height", 160, "--width", 512, "--num_workers", 1, "--picture", tmp_path / "hint.png")
    said = succeeds(SCRIPT, *where, *more, here=True)
    assert_says(said, "hint.png: ", "measured pixels the hint knows")
    assert Image.open(tmp_path / "hint.png").size == (512, 3 * 160)
    hint = read_hint(tmp_path / "depth_hints" / writer.drive_name(1) / "image_03" / "0000000000.png")[0] * 5.4
    both = (hint > 0) & (depth > 0) & (depth < 60)
    assert both.sum() > 0.6 * (depth > 0).sum()
    error = np.abs(hint / np.where(depth > 0, depth, 1) - 1)[both]
    assert np.median(error) < 0.02 and (error > 0.1).mean() < 0.2


def test_real_kitti_at_full_size(shared, golden, tmp_path):
    """The recorded hint of a whole frame, from its files, and the picture without a truth."""
    recorded = golden("epcdepth/hints.npz")
    drive = "2011_10_03/2011_10_03_drive_0034_sync"
    (tmp_path / "list.txt").write_text(f"{drive} 0 l\n")
    where = ("--data_path", shared / "data/kitti_stereo_02/raw", "--split", tmp_path / "list.txt")
    more = ("--save_path", tmp_path / "hints", "--num_workers", 1, "--picture", tmp_path / "hint.jpg")
    succeeds(SCRIPT, *where, *more, here=True)
    coded = read_coded(tmp_path / "hints" / drive / "image_02" / "0000000000.png")
    assert (coded.steps == recorded["full_size/hint_disparity_x16"]).mean() >= 0.998
    depth = coded.depth()
    known = depth > 0
    statistics = [known.mean(), depth[known].mean(), np.median(depth[known]), 1 - known.mean()]
    np.testing.assert_allclose(statistics, recorded["full_size/statistics"], rtol=1e-3)
    assert Image.open(tmp_path / "hint.jpg").size == (1024, 2 * 320)
    for camera, crop in ((2, "target_crop"), (3, "source_crop")):  # what was matched
        image = load_image(image_path(shared / "data/kitti_stereo_02/raw", drive, 0, camera, ".png"))
        found = to_array(resize(image, 320, 1024))[100:160, 400:700]
        assert np.abs(found.astype(int) - recorded[f"full_size/{crop}"]).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--width", 128], "option width: 128 is too small to match"),
        (["--height", 8], "option height"),
        (["--height", 9999], "more than 4096"),
        (["--unit", "metres"], "option unit: only with --from_folder"),
        (["--up_to_scale"], "option up_to_scale: only with --from_folder"),
        (["--from", "x"], "--unit is missing"),
        (["--from", "x", "--unit", "metres", "--up_to_shift"], "depth has no shift"),
        (["--from", "x", "--unit", "pixels", "--up_to_shift", "--up_to_scale"], "take one of them"),
        (["--from", "x", "--unit", "feet"], "none of metres, millimetres"),
        (["--from", "nowhere", "--unit", "metres"], "nowhere: no such folder"),
        (["--picture", "hint.gif"], "must end in .png or .jpg"),
        (["--intrinsics", 0.5, 1, 0.5, 0.5], "only for --dataset folder"),
        (["--data_path", "nowhere"], "nowhere: no such folder"),
        (["--split", "nowhere.txt"], "nowhere.txt: no such list"),
        (["--split", "eigen_ful"], "did you mean eigen_full?"),
        (["--overwrit"], "did you mean"),
    ],
)
def test_mistakes(root, arguments, says):
    assert_says(refused(SCRIPT, *words(root, *arguments), folder=root.parent, here=True), says)


def test_a_list_that_leads_elsewhere(root):
    (root.parent / "list.txt").write_text(f"{DRIVE}/../../{DRIVE} 0 l\n")
    assert_says(refused(SCRIPT, *words(root), folder=root.parent, here=True), "must lie below the data set's")
