"""Split lists: those known by rule against the published digests and counts, those of users as they are."""

import hashlib
from pathlib import Path

import pytest

from core.datasets import splits
from core.datasets.splits import (
    SplitLine,
    eigen_benchmark_rows,
    list_below,
    load_split,
    read_split_file,
    split_folder,
)
from core.errors import UserError
from core.options.base import list_name
from core.options.protocols import PROTOCOLS, of_split

COUNTS = {  # list, part: lines, drives
    ("eigen_zhou", "train"): (39810, 32),
    ("eigen_zhou", "val"): (4424, 32),  # 31 drives in the published draw
    ("eigen_full", "train"): (45200, 33),
    ("eigen_full", "val"): (1776, 33),
    ("eigen", "test"): (697, 28),
    ("eigen_benchmark", "test"): (652, 28),
    ("benchmark", "train"): (72084, 48),
    ("benchmark", "val"): (6060, 12),
    ("benchmark", "test"): (500, 1),
    ("odom", "train"): (36671, 9),
    ("odom", "val"): (4075, 9),
    ("odom_9", "test"): (1590, 1),
    ("odom_10", "test"): (1200, 1),
}
SETS = {
    "eigen_full train+val, sorted": [("eigen_full", "train"), ("eigen_full", "val")],
    "eigen_zhou train+val, sorted": [("eigen_zhou", "train"), ("eigen_zhou", "val")],
    "benchmark train+val, sorted": [("benchmark", "train"), ("benchmark", "val")],
    "benchmark val, sorted": [("benchmark", "val")],
    "benchmark train, sorted": [("benchmark", "train")],
    "odom train+val, sorted": [("odom", "train"), ("odom", "val")],
    "eigen test, in order": [("eigen", "test")],
    "eigen_benchmark test, in order": [("eigen_benchmark", "test")],
    "odom test 09, in order": [("odom_9", "test")],
    "odom test 10, in order": [("odom_10", "test")],
}


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(("name", "part"), COUNTS)
def test_counts(name, part):
    lines = load_split(name, part)
    assert (len(lines), len({line.folder for line in lines})) == COUNTS[name, part]
    assert len(set(lines)) == len(lines)


def test_every_list_is_counted():
    assert {(name, part) for name, parts in splits.LISTS.items() for part in parts} == set(COUNTS)


@pytest.mark.parametrize("key", SETS)
def test_published_digests(golden, key):
    recorded = golden("monodepth2/splits.json")[key]
    lines = [str(line) for name, part in SETS[key] for line in load_split(name, part)]
    lines = lines if key.endswith("in order") else sorted(lines)
    assert (len(lines), digest(lines)) == (recorded["lines"], recorded["sha256"])


def test_published_rows_of_the_benchmark(golden):
    recorded = golden("monodepth2/splits.json")["eigen_to_benchmark rows, in order"]
    rows = eigen_benchmark_rows()
    assert (len(rows), digest([str(row) for row in rows])) == (recorded["lines"], recorded["sha256"])


def test_the_draws_are_reproducible_and_stay_as_they_are():
    drawn = {name: digest([str(line) for line in load_split(name, "val")])[:16] for name in DRAWN}
    assert drawn == DRAWN


DRAWN = {  # a changed value means that every user's validation set changes
    "eigen_zhou": "4fdebe3fe0f5c03b",
    "eigen_full": "7ae4a011ed1b9435",
    "odom": "a4752861159bd6ad",
}


def test_eigen_full_validation_holds_pairs():
    lines = load_split("eigen_full", "val")
    lefts = {(line.folder, line.frame) for line in lines if line.side == "l"}
    rights = {(line.folder, line.frame) for line in lines if line.side == "r"}
    assert lefts == rights and len(lefts) == 888


def test_training_is_shuffled_and_validation_elsewhere():
    train, val = load_split("eigen_zhou", "train"), load_split("eigen_zhou", "val")
    assert not set(train) & set(val)
    assert len({line.folder for line in train[:50]}) > 5


def test_callers_cannot_change_a_list():
    load_split("odom", "val").clear()
    assert len(load_split("odom", "val")) == 4075


def test_own_folder_is_read_unchanged(tmp_path):
    (tmp_path / "train_files.txt").write_text("b/c 0000000007 r\r\n\n  a/d\t3   l \nimage 12\nb/c 7 r\n")
    assert load_split(tmp_path, "train") == [
        SplitLine("b/c", 7, "r"),
        SplitLine("a/d", 3, "l"),
        SplitLine("image", 12),
        SplitLine("b/c", 7, "r"),
    ]
    assert split_folder(str(tmp_path)) == tmp_path


def test_lines_that_begin_with_the_path_of_an_image(tmp_path):
    drive = "2011_09_26/2011_09_26_drive_0001_sync"
    file = tmp_path / "list.txt"
    file.write_text(
        f"{drive}/image_02/data/0000000005.png {drive}/image_03/data/0000000005.png 721.5\n"
        f"{drive}/image_03/data/0000000107.jpg\n{drive} 7 l\n"
    )
    expected = [SplitLine(drive, 5, "l"), SplitLine(drive, 107, "r"), SplitLine(drive, 7, "l")]
    assert read_split_file(file) == expected
    for text in (
        f"{drive}/image_00/data/0000000005.png",
        f"{drive}/image_02/0000000005.png l",
        "/image_02/5.png",
    ):
        file.write_text(f"{text}\n")
        with pytest.raises(UserError, match=r"list\.txt: line 1: .* is not '<folder> <frame> \[<side>\]'"):
            read_split_file(file)


def test_a_list_that_lies_with_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "lists").mkdir(parents=True)
    inside = tmp_path / "data" / "lists" / "own.txt"
    inside.write_text("x/y 1 l\n")
    assert list_below("data", "lists/own.txt") == "data/lists/own.txt"
    assert [list_below("data", name) for name in ("eigen_zhou", "lists", "absent.txt")] == [
        "eigen_zhou",
        "lists",
        "absent.txt",
    ]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "own.txt").write_text("x/y 2 l\n")
    assert list_below("data", "lists/own.txt") == "lists/own.txt"  # as every other command finds it


def test_own_folder_wins_and_is_never_mixed(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "SPLITS", tmp_path)
    (tmp_path / "eigen_zhou").mkdir()
    assert len(load_split("eigen_zhou", "val")) == 4424  # a folder without lists changes nothing
    (tmp_path / "eigen_zhou" / "train_files.txt").write_text("x/y 1 l\n")
    assert load_split("eigen_zhou", "train") == [SplitLine("x/y", 1, "l")]
    with pytest.raises(UserError, match=r"val_files\.txt: no such list"):
        load_split("eigen_zhou", "val")


def test_folder_of_a_list_known_by_rule():
    assert split_folder("eigen") == splits.SPLITS / "eigen"


# ---- list files ------------------------------------------------------------------------------------------


def test_a_list_file_wins_over_the_part(tmp_path):
    (tmp_path / "train_files.txt").write_text("a/b 1 l\n")
    (tmp_path / "other.txt").write_text("a/b 2 l\n")
    for part in ("train", "val"):
        assert load_split(tmp_path / "train_files.txt", part) == [SplitLine("a/b", 1, "l")]
        assert load_split(str(tmp_path / "other.txt"), part) == [SplitLine("a/b", 2, "l")]
    assert split_folder(tmp_path / "train_files.txt") == split_folder(tmp_path / "other.txt") == tmp_path


@pytest.mark.parametrize("folder", ["splits/", "", "/somewhere/splits/"])
def test_the_file_of_a_list_known_by_rule(folder):
    assert load_split(f"{folder}eigen_zhou/train_files.txt", "val") == load_split("eigen_zhou", "train")
    assert load_split(f"{folder}eigen/test_files.txt", "val") == load_split("eigen", "test")
    assert split_folder(f"{folder}eigen/test_files.txt") == splits.SPLITS / "eigen"


def test_a_file_in_the_folder_of_splits_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "SPLITS", tmp_path / "splits")
    (tmp_path / "splits" / "eigen_zhou").mkdir(parents=True)
    (tmp_path / "splits" / "eigen_zhou" / "train_files.txt").write_text("x/y 1 l\n")
    for name in ("splits/eigen_zhou/train_files.txt", "eigen_zhou/train_files.txt"):
        assert load_split(name, "val") == [SplitLine("x/y", 1, "l")]
    with pytest.raises(UserError, match=r"val_files\.txt: no such list; beside it: train_files\.txt"):
        load_split("splits/eigen_zhou/val_files.txt", "val")  # never mixed


def test_list_files_that_are_not_there(tmp_path):
    for name in ("lists/train.txt", tmp_path / "eigen_zhou/train_files.txt", "splits/eigen_zhou/more.txt"):
        with pytest.raises(UserError, match=r"\.txt: no such list; check the path"):
            load_split(name, "train")
    with pytest.raises(UserError, match="split eigen has no list 'train'; it has test"):
        load_split("splits/eigen/train_files.txt", "val")


@pytest.mark.parametrize(
    "split", ["eigen", "folder/eigen/", "folder/eigen/test_files.txt", "eigen/val_files.txt"]
)
def test_names_of_lists(split):
    assert list_name(split) == "eigen"
    assert list_name("folder/own.txt") == "own.txt"
    assert of_split(split).rule == PROTOCOLS["eigen"].rule


@pytest.mark.parametrize(("side", "camera"), [("l", 2), ("2", 2), ("r", 3), ("3", 3)])
def test_cameras(side, camera):
    assert SplitLine("a/b", 0, side).camera == camera


def test_a_line_without_side_has_no_camera():
    with pytest.raises(UserError, match="side"):
        _ = SplitLine("image", 3).camera


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no frames"),
        ("\n \n", "lists no frames"),
        ("a/b 1 l\na/b one l\n", "line 2"),
        ("a/b 1 l extra\n", "line 1"),
        ("a/b\n", "line 1"),
        ("a/b -1 l\n", "line 1"),
        ("a/b 1 x\n", "side 'x'"),
        ("a/b " + "9" * 5000 + " l\n", "line 1"),
    ],
)
def test_malformed_lists(tmp_path, text, message):
    path = tmp_path / "val_files.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_split_file(path)
    assert "val_files.txt" in str(caught.value)


def test_unreadable_lists(tmp_path):
    (tmp_path / "val_files.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match="cannot be read"):
        read_split_file(tmp_path / "val_files.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_split_file(Path(tmp_path / "absent.txt"))


def test_unknown_splits_and_parts():
    with pytest.raises(UserError, match="did you mean eigen_zhou"):
        load_split("eigen_zou", "train")
    with pytest.raises(UserError, match="neither a known list nor a folder"):
        load_split("/nowhere/at/all", "train")
    with pytest.raises(UserError, match="has no list 'train'; it has test"):
        load_split("eigen", "train")
