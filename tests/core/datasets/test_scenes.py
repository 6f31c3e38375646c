"""Folders of scenes with `cam.txt`: which samples they give, against recorded rows; images, K and depth; mistakes."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import train
from core.datasets import open_dataset, reader
from core.datasets.augmentation import Augmentation, Zoom
from core.datasets.inspection import inspect
from core.datasets.scene_folders import target_positions
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing, Needs
from tests.core.kitti_folder import noise
from tests.core.samples import open_lines
from tests.core.scene_folder import HEIGHT, WIDTH, K, write_scene, write_scenes
from tests.scripts import assert_says
from tests.tolerances import assert_close


def lines_of(root, part="train", frames=(0, -1, 1), split="eigen_zhou", **words):
    listing = Listing("scenes", str(root), split, **words)
    lines, notes = reader("scenes").split_lines(listing, part, Needs(frames=frames))
    return [(line.folder, line.frame) for line in lines], notes


def opened(root, part="train", **words):
    """The data set as a training opens it."""
    options = Monodepth2Options(
        dataset="scenes", data_path=str(root), height=64, width=64, batch_size=1, **words
    )
    options.validate()
    return open_dataset(options, part)


# ---- samples ---------------------------------------------------------------------------------------------


def test_recorded_samples(golden):
    recorded = golden("sc_depth/data.npz")
    rows = []
    for frames, step, length in recorded["samplings"].tolist():
        reach = (length - 1) // 2 * step
        offsets = [offset for offset in range(-reach, reach + 1, step) if offset]
        for target in target_positions(frames, [0, *offsets]):
            rows.append((frames, step, length, target, target + offsets[0], target + offsets[-1]))
    np.testing.assert_array_equal(rows, recorded["sample_rows"])


def test_recorded_samples_of_folders(golden, tmp_path):
    """The same rows from files on the disk."""
    recorded = golden("sc_depth/data.npz")
    for number, (frames, step, length) in enumerate(recorded["samplings"].tolist()):
        root = tmp_path / str(number)
        (root / "training" / "a").mkdir(parents=True)
        (root / "training" / "train.txt").write_text("a")
        for frame in range(frames):
            (root / "training" / "a" / f"{frame:03d}.jpg").touch()
        reach = (length - 1) // 2 * step
        offsets = tuple(offset for offset in range(-reach, reach + 1, step) if offset)
        expected = [
            tuple(row[3:]) for row in recorded["sample_rows"].tolist() if row[:3] == [frames, step, length]
        ]
        try:
            lines, _ = lines_of(root, frames=(0, *offsets))
        except UserError:
            lines = []
        assert [(frame, frame + offsets[0], frame + offsets[-1]) for _, frame in lines] == expected


def test_lists_and_scenes(tmp_path):
    root = write_scenes(tmp_path, {"b": 5, "a": 4}, {"c d": 6})
    assert lines_of(root)[0] == [("b", 1), ("b", 2), ("b", 3), ("a", 1), ("a", 2)]
    assert lines_of(root, "val")[0] == [("c d", frame) for frame in (1, 2, 3, 4)]
    assert lines_of(root / "training", "val")[0] == lines_of(root, "val")[0]
    (root / "training").rename(root / "Training")
    assert lines_of(root, "val")[0] == lines_of(root / "Training", "val")[0] and len(lines_of(root)[0]) == 5
    (root / "Training" / "train.txt").write_text("\ufeffb/\r\n\r\n  a  \r\n")
    assert [line[0] for line in lines_of(root)[0]] == list("bbbaa")


def test_lists_elsewhere(tmp_path):
    root = write_scenes(tmp_path / "data", {"a": 5, "b": 5})
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("b")
    for split in (tmp_path / "lists", tmp_path / "lists" / "train.txt"):
        assert {name for name, _ in lines_of(root, split=str(split))[0]} == {"b"}
    for split in ("", "eigen", "splits/eigen/test_files.txt", "eigen_zhou/train_files.txt"):
        assert {name for name, _ in lines_of(root, split=split)[0]} == {"a", "b"}
    with pytest.raises(UserError, match=r"split 'mine': neither a folder with train\.txt .* leave it out"):
        lines_of(root, split="mine")
    with pytest.raises(UserError, match=r"split 'm+'?: neither a folder with"):  # longer than names can be
        lines_of(root, split=5000 * "m")


def test_short_scenes_are_said(tmp_path):
    root = write_scenes(tmp_path, {"a": 3, "b": 6, "c": 0})
    lines, notes = lines_of(root)
    assert {name for name, _ in lines} == {"b"}
    assert_says(
        " | ".join(notes),
        *(
            f"{root / 'training' / 'train.txt'}: 3 scenes, 4 samples",
            "2 of 3 scenes have too few frames for samples",
        ),
        "of 0 -1 1, which take 4 (the longest, a, has 3)",
    )
    with pytest.raises(
        UserError, match=r"train\.txt: 3 of 3 .* of 0 -3 3, which take 7 \(the longest, b, has 6\)"
    ):
        lines_of(root, frames=(0, -3, 3))
    assert any("3 scenes, 4 samples" in note for note in opened(root).news())


@pytest.mark.parametrize("extension", ["png", "jpg", "PNG"])
def test_images_and_intrinsics(tmp_path, extension):
    root = write_scenes(tmp_path, {"a": 5}, extension=extension)
    dataset = opened(root)
    assert [line.frame for line in dataset.lines] == [1, 2, 3] and dataset.root == root
    for frame, number in ((0, 2), (-1, 1), (1, 3)):
        path = dataset.image_path(dataset.lines[1], frame)
        assert path == root / "training" / "a" / f"{5 * number:06d}.{extension}"
    whole = open_lines("scenes", root, dataset.lines, frames=(0, -1, 1), height=HEIGHT, width=WIDTH)
    sample = whole[0, 1]
    assert_close(sample["K"], K)
    if extension != "jpg":
        for frame, number in ((0, 2), (-1, 1), (1, 3)):
            np.testing.assert_array_equal(sample[f"image_{frame}_0"], noise(HEIGHT, WIDTH, number))
    assert whole.K_source(dataset.lines[0]) == str(root / "training" / "a" / "cam.txt")
    half = open_lines("scenes", root, dataset.lines, height=HEIGHT // 2, width=WIDTH // 2, mirror="edges")
    assert_close(half[0, 0]["K"], K * [[0.5], [0.5], [1]])


def test_the_root_may_be_the_scenes(tmp_path):
    root = write_scenes(tmp_path, {"a": 5})
    dataset = opened(root / "training")
    assert dataset.image_path(dataset.lines[0], 0).parent == root / "training" / "a"


def test_names_without_zeros_are_said(tmp_path):
    root = write_scenes(tmp_path, {"a": 5})
    assert len(lines_of(root)[1]) == 1
    folder = root / "training" / "a"
    for number, path in enumerate(sorted(folder.glob("*.png"))):
        path.rename(folder / f"{number + 8}.png")
    assert_says(lines_of(root)[1][1], "scene a: sorted by name", "with zeros in front")


# ---- recorded pipelines, through the reader --------------------------------------------------------------


@pytest.fixture
def recorded_scene(golden, tmp_path):
    recorded = golden("sc_depth/data.npz")
    folder = write_scene(tmp_path / "training" / "a", 0, K=recorded["K"])
    for number, image in enumerate(recorded["images"]):
        Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path, recorded


@pytest.mark.parametrize(
    ("name", "suffix", "bound"), [("float_bilinear", "", 1e-4), ("bilinear", "_pil", 0.02)]
)
def test_recorded_augmentation(recorded_scene, name, suffix, bound, monkeypatch):
    """Mirrored, enlarged, cut out and resized; bounds of the file."""
    root, recorded = recorded_scene
    height, width = recorded["images"].shape[1:3]
    words = {"frames": (0, 1), "height": 64, "width": 192, "filter": name, "mirror": "edges"}
    dataset = open_lines("scenes", root, [SplitLine("a", 0)], augment=True, zoom=1.15, jitter=0.0, **words)
    for number in range(3):
        flip, x, y, top, left = recorded[f"draw{number}"]
        place = ((n + 0.5) / (int(s * f) - s + 1) for n, s, f in ((left, width, x), (top, height, y)))
        drawn = Augmentation(mirrored=bool(flip), zoom=Zoom(x, y, *place))
        monkeypatch.setattr(dataset, "augmentation", lambda key, drawn=drawn: drawn)
        sample, expected = dataset[0, 0], f"augmented{number}{suffix}"
        for frame in (0, 1):
            assert_close(network_input(sample[f"augmented_{frame}"]), recorded[expected][frame], (0, bound))
        assert_close(sample["K"], recorded[f"{expected}_K"], (0, 1e-3))


def test_recorded_validation(recorded_scene):
    root, recorded = recorded_scene
    words = {"height": 64, "width": 192, "filter": "float_bilinear", "mirror": "edges"}
    sample = open_lines("scenes", root, [SplitLine("a", 0)], **words)[0, 0]
    assert_close(network_input(sample["image_0_0"]), recorded["resized"], (0, 1e-4))
    assert_close(sample["K"], recorded["resized_K"], (0, 1e-3))


def network_input(image):
    values = image.astype(np.float64) / (255 if image.dtype == np.uint8 else 1)
    return (values.transpose(2, 0, 1) - 0.45) / 0.225


# ---- the index of frames ---------------------------------------------------------------------------------


def test_only_the_frames_of_the_index(tmp_path):
    root = write_scenes(tmp_path, {"a": 9})
    (root / "training" / "a" / "frame_index.txt").write_text("0\n3\n4\n7\n8")
    assert lines_of(root)[0] == [("a", frame) for frame in range(1, 8)]
    assert lines_of(root, frame_index=True)[0] == [("a", frame) for frame in (1, 2, 3)]
    listing = Listing("scenes", str(root), "", frame_index=True)
    dataset = open_lines("scenes", listing, [SplitLine("a", 2)], frames=(0, -1, 1))
    names = [int(dataset.image_path(dataset.lines[0], frame).stem) // 5 for frame in (-1, 0, 1)]
    assert names == [3, 4, 7]


@pytest.mark.parametrize("text", ["0\n9", "-1\n2", "1.5", "a", "", "0\n0\n1", "3\n1", "1" * 5000, "²"])
def test_an_index_with_wrong_numbers(tmp_path, text):
    root = write_scenes(tmp_path, {"a": 9})
    (root / "training" / "a" / "frame_index.txt").write_text(text)
    with pytest.raises(
        UserError, match=r"a/frame_index\.txt: .*; make it with make_frame_index\.py"
    ) as caught:
        lines_of(root, frame_index=True)
    assert len(str(caught.value)) < 300 + len(str(root))


def test_a_missing_index(tmp_path):
    with pytest.raises(UserError, match=r"frame_index\.txt: no such index .* make_frame_index\.py, or leave"):
        lines_of(write_scenes(tmp_path, {"a": 9}), frame_index=True)


# ---- depth -----------------------------------------------------------------------------------------------


def write_depth(folder, frame, kind):
    """A depth map of a frame of a scene, of the kind that the data set has; returns it."""
    depth = np.random.default_rng(frame).uniform(0.5, 9, (20, 30)).astype(np.float32)
    depth[np.random.default_rng(frame + 1).random(depth.shape) < 0.5] = 0
    path = folder / "depth" / f"{5 * frame:06d}"
    path.parent.mkdir(exist_ok=True)
    if kind in ("kitti", "ddad"):
        rows, columns = np.nonzero(depth)
        indptr = np.searchsorted(rows, np.arange(21))
        arrays = {"data": depth[rows, columns], "indices": columns, "indptr": indptr, "shape": depth.shape}
        np.savez_compressed(path.with_suffix(".npz"), format=b"csr", **arrays)
        return depth
    unit = {"nyu": 5000}.get(kind, 1000)
    pixels = np.round(depth * unit).astype(np.uint16)
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    return pixels / np.float32(unit)


@pytest.mark.parametrize("kind", ["kitti", "ddad", "nyu", "bonn", "tum", "scannet"])
def test_depth_is_scored_and_is_in_samples(tmp_path, kind):
    root = write_scenes(tmp_path, {"a": 5}, {"b": 6})
    depths = {frame: write_depth(root / "training" / "b", frame, kind) for frame in (0, 2, 5)}
    listing = Listing("scenes", str(root), "", depth=kind)
    lines, _ = reader("scenes").split_lines(listing, "val", Needs())
    assert [line.frame for line in lines] == [0, 2, 5]  # no neighbours are needed
    dataset = open_lines("scenes", listing, lines, height=20, width=30, depth=True)
    dataset.check_files()
    assert dataset.has_truth
    for index, (frame, depth) in enumerate(depths.items()):
        np.testing.assert_array_equal(dataset.truth(lines[index]), depth)
        np.testing.assert_array_equal(dataset[0, index]["depth"][0], depth)
        assert dataset.image_path(lines[index], 0).stem == f"{5 * frame:06d}"


def test_without_depth(tmp_path):
    root = write_scenes(tmp_path, {"a": 5}, {"b": 6})
    lines, notes = lines_of(root, "val", frames=(0,))
    assert [frame for _, frame in lines] == list(range(6)) and len(notes) == 1
    dataset = open_lines("scenes", root, [SplitLine(*line) for line in lines])
    assert not dataset.has_truth and dataset.sample_truth(0, 3) is None
    write_depth(root / "training" / "b", 70, "kitti")
    assert_says(lines_of(root, "val")[1][1], "scene b: no map in depth has the name of an image")


@pytest.mark.parametrize(("kind", "name"), [("kitti", "000000.npz"), ("nyu", "000000.png")])
def test_the_depth_that_a_score_lacks(tmp_path, kind, name):
    root = write_scenes(tmp_path, {"a": 5}, {"b": 6})
    listing = Listing("scenes", str(root), "", depth=kind)
    dataset = open_lines("scenes", listing, [SplitLine("b", 0)], truth="take photo")
    with pytest.raises(
        UserError, match=f"b/depth/{name}: no such file, so there is no true depth .* take photo"
    ):
        dataset.check_files()


def test_some_samples_without_depth(tmp_path):
    """Where a loss is validated every sample counts, and metrics are of those that have depth."""
    root = write_scenes(tmp_path, {"a": 5}, {"b": 6})
    for frame in (1, 3):
        write_depth(root / "training" / "b", frame, "kitti")
    dataset = opened(root, "val")
    assert [dataset.sample_truth(0, index) is not None for index in range(4)] == [True, False, True, False]


def test_a_unit_that_nobody_has_said(tmp_path):
    root = write_scenes(tmp_path, {"a": 5}, {"b": 6})
    for frame in range(6):
        write_depth(root / "training" / "b", frame, "nyu")
    dataset = opened(root, "val")
    assert not dataset.has_truth
    assert_says(" ".join(dataset.news()), "000005.png: the unit of depth in a .png is not known")
    named = open_lines("scenes", Listing("", str(root), "", depth="ddad"), dataset.lines)
    with pytest.raises(UserError, match=r"000005\.png: the unit of a depth \.png of ddad is not known"):
        _ = named.has_truth


def test_dense_arrays_win(tmp_path):
    root = write_scenes(tmp_path, {"a": 5}, {"b": 6})
    write_depth(root / "training" / "b", 2, "nyu")
    np.save(root / "training" / "b" / "depth" / "000010.npy", np.full((3, 4), 2.0))
    dataset = open_lines("scenes", root, [SplitLine("b", 2)])
    np.testing.assert_array_equal(dataset.truth(dataset.lines[0]), np.full((3, 4), 2.0, np.float32))


def test_a_file_of_ground_truth(tmp_path):
    root = write_scenes(tmp_path / "data", {"a": 5}, {"b": 3})
    write_depth(root / "training" / "b", 1, "kitti")
    np.savez(tmp_path / "gt.npz", data=np.arange(1, 25, dtype=np.float32).reshape(3, 2, 4))
    listing = Listing("scenes", str(root), "", ground_truth=str(tmp_path / "gt.npz"))
    lines, _ = reader("scenes").split_lines(listing, "val", Needs())
    dataset = open_lines("scenes", listing, lines)
    dataset.check_files()
    np.testing.assert_array_equal(dataset.truth(lines[2]), [[17, 18, 19, 20], [21, 22, 23, 24]])


def test_poses_are_passed_over(tmp_path):
    root = write_scenes(tmp_path, {"a": 5})
    (root / "training" / "a" / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 3)
    (root / "training" / "a" / "Thumbs.db").write_text("")
    assert len(opened(root)) == 3
    with pytest.raises(UserError, match="this data set has no poses, which measured motion needs"):
        opened(root, known_poses=True)


# ---- what a training asks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda image: image.rotate(90, expand=True), "40x96, but 000000.png is 96x40 .*turn them alike"),
        (lambda image: image.crop((0, 0, 48, 40)), "48x40, but 000000.png is 96x40"),
        (lambda image: image.resize((48, 20)), None),  # of one shape
    ],
)
def test_images_of_a_scene_have_one_shape(tmp_path, spoil, said):
    """G3: they have one K."""
    path = write_scenes(tmp_path, {"a": 6}) / "training" / "a" / "000015.png"
    spoil(Image.open(path)).save(path)
    dataset = open_lines("scenes", tmp_path, [SplitLine("a", n) for n in (1, 3)], frames=(0, -1, 1))
    if said is None:
        dataset.check_files()
    else:
        with pytest.raises(UserError, match=rf"000015\.png: {said}"):
            dataset.check_files()


def test_inspection(tmp_path):
    root = write_scenes(tmp_path, {"a": 5, "b": 5})
    text = "\n".join(inspect(opened(root), 0, None)[0])
    assert_says(
        text,
        *(
            "2 sequences, 6 samples of frames 0 -1 1, 10 images",
            "image sizes: 96x40 (10)",
            "motion to frame -1",
        ),
        f"fx 0.625 fy 1.375 cx 0.4948 cy 0.475 ({root / 'training' / 'a' / 'cam.txt'}): a",
        "unreadable: 0 of 10 images",
    )


def test_dry_run_names_the_lists(tmp_path, monkeypatch, capsys):
    """The list that was read, not the split of another data set; without a network, whose batch is tested elsewhere."""
    trainer = SimpleNamespace(dry_run=lambda: {"loss": 0.25})
    backend = SimpleNamespace(Trainer=lambda options, pretrained: trainer)
    monkeypatch.setattr(train, "load_backend", lambda *names: backend)
    root = write_scenes(tmp_path, {"a": 5, "b": 2}, {"c": 6})
    words = ["--method", "monodepth2", "--dataset", "scenes", "--data_path", str(root)]
    train.main([*words, "--weights_init", "scratch", "--batch_size", "1", "--dry_run"])
    said = capsys.readouterr().out
    assert_says(
        said,
        *(
            f"train: scenes in {root}\n  {root}/training/train.txt: 2 scenes, 3 samples",
            "1 of 2 scenes have too few",
        ),
        *(
            f"val: scenes in {root}\n  {root}/training/val.txt: 1 scenes, 4 samples",
            "one batch: loss 0.25000",
        ),
    )
    assert "eigen_zhou" not in said


def test_stereo_is_refused(tmp_path):
    with pytest.raises(UserError, match="a scene has one camera; leave out --use_stereo"):
        opened(write_scenes(tmp_path, {"a": 5}), use_stereo=True)


# ---- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cam.txt: no such file; write K, rows fx 0 cx"),
        ("1 2 3\n4 5 6\n", "not 3x3 numbers"),
        ("60 0 47 0 55 18 0 0 1", "not 3x3 numbers"),
        ("60 0 47\n0 55 18\n0 0 1\n0 0 0\n", "not 3x3 numbers"),
        ("60 0 47\n0 nan 18\n0 0 1\n", "not 3x3 numbers"),
        ("60 0 47\n0 fy 18\n0 0 1\n", "cannot be read as K"),
        ("60 0 47\n0 55 18\n0 0 2\n", "no possible K of images of 96x40"),
        ("60 0 47\n3 55 18\n0 0 1\n", "no possible K"),
        ("60 0 470\n0 55 18\n0 0 1\n", "no possible K"),
        ("0.6 0 0.5\n0 1.3 0.5\n0 0 1\n", "no possible K"),
        ("-60 0 47\n0 55 18\n0 0 1\n", "no possible K"),
        ("9 " * 100_000, "not 3x3 numbers"),
    ],
)
def test_cameras_that_are_none(tmp_path, text, message):
    root = write_scenes(tmp_path, {"a": 5})
    path = root / "training" / "a" / "cam.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        opened(root)
    assert str(path) in str(caught.value) and "in pixels of the images beside it" in str(caught.value)
    assert len(opened_without_k(root)) == 1  # where K is not asked for, none is read


def opened_without_k(root):
    return open_lines("scenes", root, [SplitLine("a", 1)], intrinsics=False)


def test_other_ways_to_write_a_camera(tmp_path):
    root = write_scenes(tmp_path, {"a": 5})
    (root / "training" / "a" / "cam.txt").write_text("60, 0.1, 47\r\n\r\n0, 5.5e1, 18.5\r\n0, 0, 1")
    assert_close(open_lines("scenes", root, [SplitLine("a", 1)], height=HEIGHT, width=WIDTH)[0, 0]["K"], K)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"train\.txt: no such list"),
        ("", r"train\.txt: lists no scenes"),
        ("a\nb\na", r"train\.txt: line 3: scene a is already in line 1; remove one"),
        ("a\n./a", r"train\.txt: line 2: scene a is already in line 1"),
        ("a\nc", r"train\.txt: line 2: .*/training/c: no such scene; unpack it or remove the line"),
        ("../training/a", r"train\.txt: line 1: '../training/a' must be the name of a folder"),
        ("/etc", r"train\.txt: line 1: '/etc' must be the name of a folder"),
        ("a\0b", r"train\.txt: line 1"),
        ("a\n" + 5000 * "b", r"train\.txt: line 2: .*/training/b+: no such scene"),
    ],
)
def test_lists_that_are_wrong(tmp_path, text, message):
    root = write_scenes(tmp_path, {"a": 5, "b": 5}, {"d": 5})
    path = root / "training" / "train.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        opened(root)
    assert "\n" not in str(caught.value)


def test_other_mistakes(tmp_path):
    root = write_scenes(tmp_path, {"a": 5}, {"b": 5})
    (root / "training" / "train.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match=r"train\.txt: cannot be read as a list of scenes"):
        lines_of(root)
    with pytest.raises(UserError, match="part 'test': folders of scenes have the lists train and val"):
        lines_of(root, "test")
    with pytest.raises(UserError, match=r"train\.txt: no such list; .* check --data_path"):
        lines_of(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"\(frame 9 of 5\): no such image"):
        open_lines("scenes", root, [SplitLine("b", 9)])
    with pytest.raises(UserError, match=r"\(frame 5 of 5\): no such image .* sample 1 \(scene b, frame 4\)"):
        open_lines("scenes", root, [SplitLine("b", 4)], frames=(0, 1)).check_files()
    (root / "training" / "b" / "000010.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"b/000010\.png: damaged"):
        _ = opened(root, "val")[0, 0]
    shutil.copy(root / "training" / "b" / "000000.png", root / "training" / "b" / "000000.jpg")
    with pytest.raises(UserError, match="have the same name; remove one of them"):
        opened(root, "val")
