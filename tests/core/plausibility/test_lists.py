"""Lists that share lines, and lists of which much is not here; published and rendered ones pass without a word."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import export_gt_depth
import make_split
from core.datasets import open_datasets, reader
from core.datasets.splits import SplitLine, load_split, read_split_file
from core.errors import UserError
from core.options import OPTIONS
from core.options.needs import Listing, Needs, Preparation
from core.options.parsing import save_options
from core.plausibility import checks
from core.plausibility.lists import by_folder, check_lines, check_test, seen_in_training
from tests.core.own_images import numbered, write_images
from tests.scripts import run_here, succeeds

METHOD = next(iter(OPTIONS.values()))


def options_of(root: Path, split: Path | str, **values: object):
    given = {
        "data_path": str(root),
        "split": str(split),
        "png": True,
        "height": 64,
        "width": 96,
        "batch_size": 1,
    }
    return METHOD(**(given | values))


def lists(folder: Path, **parts: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for part, lines in parts.items():
        (folder / f"{part}_files.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture
def names(rendered: Path) -> dict[str, list[str]]:
    """The lines of the rendered drive's lists."""
    return {part: [str(line) for line in load_split(rendered / "splits", part)] for part in ("train", "test")}


# ---- validation and test -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4])
def test_validation_lines_that_are_trained_on(rendered, names, tmp_path, capsys, count):
    """W12 (a)."""
    split = lists(tmp_path / "lists", train=names["train"], val=[*names["train"][:count], *names["test"]])
    open_datasets(options_of(rendered, split), "val")
    said = f"warning: split {split}: {count} of {count + 2} validation lines are trained on"
    assert capsys.readouterr().err.startswith(said)


def test_lists_that_share_nothing_pass_without_a_word(rendered, names, tmp_path, capsys):
    split = lists(tmp_path / "lists", train=names["train"], val=names["test"], test=names["test"])
    for part in ("train", "val"):
        open_datasets(options_of(rendered, split), part)
    assert capsys.readouterr().err == "" and checks.warnings() == []


def test_test_images_that_are_trained_on(rendered, names, tmp_path, capsys):
    """The image itself by the other camera, and a direct neighbour."""
    folder = names["test"][0].split()[0]
    split = lists(tmp_path / "lists", train=[*names["train"], f"{folder} 1 r"], test=names["test"])
    open_datasets(options_of(rendered, split), "train")
    assert (
        "1 of 2 test images are in the training list, 1 more are direct neighbours" in capsys.readouterr().err
    )


def test_published_lists_are_clean():
    eigen = [line.place for line in load_split("eigen", "test")]
    for name in ("eigen_zhou", "eigen_full"):
        assert seen_in_training((line.place for line in load_split(name, "train")), eigen) == (0, 0)
    odometry = [line.place for line in load_split("odom", "train")]
    assert not check_test("odom", odometry, [line.place for line in load_split("odom_9", "test")])
    assert checks.warnings() == []


def test_every_evaluation_of_weights_that_know_their_list(rendered, names, perfect, tmp_path):
    words = ["--eval_split", rendered / "splits", "--data_path", rendered, "--png", "--eval_mono"]
    command = ["evaluate_depth.py", "--ext_disp_to_eval", perfect, *words, "--output", tmp_path / "all.json"]
    save_options(options_of(rendered, rendered / "splits"), tmp_path / "options.yaml")
    assert "not comparable" not in succeeds(*command, here=True)
    split = lists(tmp_path / "lists", train=names["test"][:1])
    save_options(options_of(rendered, split), tmp_path / "options.yaml")
    done = run_here(*command)
    assert done.returncode == 0 and "not comparable: test images" in done.stdout
    warning = json.loads((tmp_path / "all.json").read_text())["origin"]["warnings"][0]
    assert "1 of 2 test images are in the training list, 1 more are direct neighbours" in warning


def test_what_is_refined_on_the_test_frames_is_marked(rendered, names, perfect, tmp_path):
    """In the report, its JSON and the table; also where the weights only started from such."""
    words = ["--eval_split", rendered / "splits", "--data_path", rendered, "--png", "--eval_mono"]
    output = tmp_path / "all.json"
    command = ["evaluate_depth.py", "--ext_disp_to_eval", perfect, *words, "--output", output]
    assert "seen" not in succeeds(*command, here=True)
    unknown = json.loads(output.read_text())["origin"]["seen_in_training"]  # without options.yaml
    assert unknown is None
    start, plain = tmp_path / "start", rendered / "splits"
    start.mkdir()
    test_list = options_of(rendered, lists(tmp_path / "lists", train=names["test"]))
    save_options(test_list, start / "options.yaml")
    for options in (test_list, options_of(rendered, plain, load_weights_folder=str(start))):
        save_options(options, tmp_path / "options.yaml")
        done = run_here(*command)
        assert "refined on the test frames: 2 of 2 test images were trained on" in done.stdout
        seen = json.loads(output.read_text())["origin"]["seen_in_training"]
        assert seen == {"mark": "refined on the test frames", "same": 2, "near": 0, "images": 2}
    report = ["report_depth.py", "--split", plain, "--data_path", rendered, "--disparities", perfect]
    report += ["--output", tmp_path / "report", "--metrics", f"mine={output}"]
    assert "| mine (refined on the test frames) |" in succeeds(*report, here=True)


# ---- truth of some lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("without", [1, 2])
def test_truth_of_some_lines_in_any_order(drive, names, tmp_path, without):
    """W12 (b): a list whose first line lacks its scan has depth metrics all the same."""
    folder = names["test"][0].split()[0]
    (drive / folder / "velodyne_points" / "data" / f"{without:010d}.bin").unlink()
    lines = [SplitLine(folder, frame, "l") for frame in (1, 2)]
    dataset = reader("kitti")(
        Listing("kitti", str(drive), ""), lines, Needs(augmented=False), Preparation(64, 96)
    )
    assert dataset.has_truth
    truths = [dataset.sample_truth(0, index) for index in (0, 1)]
    assert [truth is None for truth in truths] == [frame == without for frame in (1, 2)]


# ---- parts of KITTI ----------------------------------------------------------------------------------------------


def opened(root: Path, split: str, png: bool | None = None, frames: tuple = (0,)):
    needs = Needs(frames=frames, augmented=False)
    dataset = reader("kitti")(
        Listing("kitti", str(root), split), load_split(split, "test"), needs, Preparation(64, 96), png=png
    )
    dataset.check_files()
    return dataset


def test_one_drive_of_a_list(tmp_path, rendered):
    """M2."""
    line = load_split("eigen", "test")[0]
    images = tmp_path / line.folder / "image_02" / "data"
    write_images(images, [f"{line.frame:010d}.png"])
    with pytest.raises(UserError, match=r"696 of 697 lines; of 27 of 28 folders, such as .*give a list"):
        opened(tmp_path, "eigen", png=True)
    (images / f"{line.frame:010d}.png").rename(images / "0000000999.png")
    with pytest.raises(UserError) as error:
        opened(tmp_path, "eigen", png=True)
    assert "check --data_path and --split" in str(error.value) and "leave out --png" not in str(error.value)


def test_the_export_counts_before_it_begins(drive, tmp_path):
    folder = load_split(drive / "splits", "test")[0].folder
    shutil.rmtree(drive / folder / "velodyne_points")
    with pytest.raises(
        UserError, match=r"no such scan; .*\(lack it: 2 of 2 lines; of 1 of 1 folders, such as"
    ):
        export_gt_depth.main(
            ["--data_path", str(drive), "--split", str(drive / "splits"), "--source", "velodyne"]
        )


def test_images_of_two_extensions(drive):
    folder = load_split(drive / "splits", "test")[0].folder
    path = drive / folder / "image_02" / "data" / "0000000002.png"
    path.rename(path.with_suffix(".jpg"))
    with pytest.raises(UserError, match=r"0000000002\.png: no such image .*0000000002\.jpg is there.*--png"):
        opened(drive, str(drive / "splits"))


def test_counts_by_folder():
    assert (
        by_folder(["a", "a", "b"], ["a", "a", "b", "b", "c"])
        == "3 of 5 lines; of 1 of 3 folders, such as a, there is nothing"
    )
    assert by_folder(["b"], ["a", "b", "b"]) == "1 of 3 lines, in 1 of 2 folders"


# ---- lines -------------------------------------------------------------------------------------------------------


def test_lines_that_stand_there_twice(capsys):
    """In training that may be meant; where numbers are means of lines it is not."""
    check_lines("a, val", [("x", 3, 2), ("x", 3, 3), ("y", 3, 2), ("x", 4, None)])
    assert capsys.readouterr().err == ""
    check_lines("a, val", [("x", 3, 2), ("x", 5, 2), ("x", 3, 2)])
    assert (
        "a, val: 1 of 3 lines stand there before, such as x 3: their images count more"
        in capsys.readouterr().err
    )


def test_an_evaluation_says_lines_that_stand_there_twice(rendered, perfect, truth, tmp_path):
    lines = (rendered / "splits" / "test_files.txt").read_text().splitlines()
    (tmp_path / "test_files.txt").write_text("\n".join([*lines, lines[0]]))
    saved = np.load(perfect)
    np.save(tmp_path / "all.npy", saved[[*range(len(lines)), 0]])
    np.savez(tmp_path / "gt.npz", data=np.array([*truth, truth[0]]))
    words = ["--ext_disp_to_eval", tmp_path / "all.npy", "--eval_split", tmp_path, "--eval_mono"]
    done = run_here("evaluate_depth.py", *words, "--ground_truth", tmp_path / "gt.npz")
    assert done.returncode == 0 and f"1 of {len(lines) + 1} lines stand there before" in done.stderr


def test_list_and_line_are_named(tmp_path):
    """M3."""
    write_images(tmp_path / "a", numbered(range(5)))
    (tmp_path / "val_files.txt").write_text("\n\na 1 l\n\na 4 l\n")
    lines = read_split_file(tmp_path / "val_files.txt")
    dataset = reader("folder")(
        Listing("folder", str(tmp_path), ""),
        lines,
        Needs(frames=(0, -1, 1), augmented=False),
        Preparation(32, 64),
    )
    with pytest.raises(
        UserError, match=r"frame 5 of camera 2.*; [^;]*val_files\.txt, line 5 \(a 4 l\) needs it"
    ):
        dataset.check_files()
    assert lines[1] == SplitLine("a", 4, "l")


def test_there_is_no_frame_before_the_first(drive):
    folder = load_split(drive / "splits", "test")[0].folder
    lists(drive / "splits", test=[f"{folder} 0 l"])
    with pytest.raises(UserError, match=r"there is no frame before 0.*test_files\.txt, line 1"):
        opened(drive, str(drive / "splits"), frames=(0, -1, 1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a 1 l\n".encode("utf-16"), ": it is UTF-16; save it as UTF-8$"),
        (b"\xfe\xff\0a\0 \x001", "it is UTF-16"),
        (b"a\\b 1 l\n", r"line 1: .* has backslashes; write the folder with /"),
    ],
)
def test_lists_of_windows(tmp_path, content, said):
    """M3, M4."""
    (tmp_path / "train_files.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"train_files\.txt.*{said}"):
        read_split_file(tmp_path / "train_files.txt")


# ---- stereo folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair",
    [("image_2", "image_3"), ("image_02/data", "image_03/data"), ("Left", "Right"), ("image_0", "image_1")],
)
def test_stereo_folders_under_the_usual_names(tmp_path, pair):
    """M7."""
    for folder in pair:
        write_images(tmp_path / "drive" / folder, numbered(range(14)))
    make_split.main(["--data_path", str(tmp_path), "--use_stereo"])
    lines = read_split_file(tmp_path / "splits" / "train_files.txt")
    assert {line.side for line in lines} == {"l", "r"} and lines[0].folder == "drive"


def test_no_sequence_has_two_cameras(tmp_path):
    for folder in ("port", "starboard"):
        write_images(tmp_path / folder, numbered(range(6)))
    with pytest.raises(UserError, match="but none has folders left and right"):
        make_split.main(["--data_path", str(tmp_path), "--use_stereo"])


def test_a_tree_of_kitti(rendered, tmp_path):
    make_split.main(
        ["--data_path", str(rendered), "--output", str(tmp_path / "lists"), "--validation_share", "0.5"]
    )
    lines = read_split_file(tmp_path / "lists" / "train_files.txt")
    assert lines[0].folder.startswith("2011_09_26/") and not any(
        "proj_depth" in line.folder for line in lines
    )
