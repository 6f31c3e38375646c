"""The scripts as far as they go without a framework, and what they say to mistakes; both frameworks absent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import export_gt_depth
import report_depth
from core.datasets.ground_truth import load_ground_truth, scan_to_depth
from core.datasets.kitti import read_calibration, read_scan, scan_path
from core.datasets.splits import load_split
from core.errors import UserError, run
from core.evaluation.metrics import METRIC_NAMES, depth_metrics
from tests.core.kitti_folder import DATE, DRIVE, HEIGHT, WIDTH, write_annotated, write_drive
from tests.scripts import assert_says, refused, succeeds
from tests.tolerances import assert_close

FRAMEWORKS = ("torch", "paddle")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A drive of five frames with annotated depth, and lists that name three of them."""
    root = write_drive(tmp_path / "data")
    for frame in range(1, 4):
        write_annotated(root, frame)
    write_list(root / "split", "train", [1])
    write_list(root / "split", "val", [1])
    write_list(root / "split", "test", [1, 2, 3])
    return root


def write_list(folder: Path, part: str, frames: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{part}_files.txt").write_text("".join(f"{DRIVE} {frame} l\n" for frame in frames))
    return folder


def export(data: Path, *arguments: str) -> list:
    export_gt_depth.main(["--data_path", str(data), "--split", str(data / "split"), *arguments])
    return load_ground_truth(data / "split" / "gt_depths.npz", load_split(data / "split", "test"))


def evaluation(data: Path, disparities: Path) -> list[str]:
    return ["--eval_split", str(data / "split"), "--ext_disp_to_eval", str(disparities)]


# ---- success -------------------------------------------------------------------------------------------------


def test_export_takes_annotated_depth_where_there_is_some(data: Path) -> None:
    printed = succeeds(
        "export_gt_depth.py", "--data_path", data, "--split", data / "split", without=FRAMEWORKS
    )
    assert_says(printed, data / "split" / "gt_depths.npz", "3 annotated maps")
    maps = load_ground_truth(data / "split" / "gt_depths.npz", load_split(data / "split", "test"))
    for frame, depth in zip((1, 2, 3), maps, strict=True):
        np.testing.assert_array_equal(depth.dense(), write_annotated(data, frame) / np.float32(256))


@pytest.mark.parametrize("nearest", [False, True])
def test_export_of_scans(data: Path, nearest: bool) -> None:
    maps = export(data, "--source", "velodyne", *(["--nearest_point"] if nearest else []))
    calibration = read_calibration(data / DATE)
    for frame, depth in zip((1, 2, 3), maps, strict=True):
        scan = read_scan(scan_path(data, DRIVE, frame))
        np.testing.assert_array_equal(
            depth.dense(), scan_to_depth(scan, calibration, 2, "velodyne_x", nearest)
        )


def test_evaluation_of_saved_disparities_needs_no_framework(data: Path, tmp_path: Path) -> None:
    maps = export(data)
    # A slanted plane, twice too far.
    planes = np.broadcast_to(np.linspace(0.01, 0.2, HEIGHT, dtype=np.float32)[:, None], (3, HEIGHT, WIDTH))
    np.save(tmp_path / "planes.npy", planes)
    printed = succeeds(
        "evaluate_depth.py",
        *evaluation(data, tmp_path / "planes.npy"),
        *("--eval_mono", "--depth_cap", 60, "--output", tmp_path / "out" / "metrics.json"),
        without=FRAMEWORKS,
    )
    expected = []
    for depth in maps:
        found = 1 / planes[0].ravel()[depth.index].astype(np.float64)
        found *= np.median(depth.values) / np.median(found)
        expected.append(depth_metrics(depth.values, np.clip(found, 1e-3, 60)))
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert_close(written["per_image"], np.stack(expected))
    assert_close([written["mean"][name] for name in METRIC_NAMES], np.mean(expected, axis=0))
    assert written["images"] == 3 and written["protocol"]["subject"]["cap"] == 60
    first, *rest = printed.splitlines()
    assert_says(first, data / "split", "crop none", "cap 60 m", "median scaling", "3 images")
    assert f"{np.mean(expected, axis=0)[0]:.3f}" in rest[-1]


def test_stereo_scaling_multiplies_by_the_baseline(data: Path, tmp_path: Path) -> None:
    maps = export(data)
    np.save(tmp_path / "one.npy", np.full((3, 8, 16), 0.5, np.float32))
    output = tmp_path / "metrics.json"
    evaluate_depth.main([*evaluation(data, tmp_path / "one.npy"), "--eval_stereo", "--output", str(output)])
    expected = [depth_metrics(depth.values, np.full(depth.values.size, 5.4 / 0.5)) for depth in maps]
    assert_close(json.loads(output.read_text())["per_image"], np.stack(expected))


def test_report(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(data)
    np.save(tmp_path / "some.npy", np.random.default_rng(0).uniform(0.1, 1, (3, 16, 32)).astype(np.float32))
    metrics = tmp_path / "metrics.json"
    evaluate_depth.main([*evaluation(data, tmp_path / "some.npy"), "--eval_mono", "--output", str(metrics)])
    report_depth.main(report_arguments(data, tmp_path, f"a network={metrics}"))
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert_says(text, "median scaling | 3 images", "best constant depth", "median depth per pixel")
    row = next(line for line in text.splitlines() if line.startswith("| a network "))
    assert f"{json.loads(metrics.read_text())['mean']['abs_rel']:.3f}" in row
    with Image.open(tmp_path / "report" / "report.png") as picture:
        assert picture.width > 4 * WIDTH and picture.height > 2 * HEIGHT


def test_a_protocol_by_name_on_a_list_of_ones_own(data: Path, tmp_path: Path, capsys: Any) -> None:
    """The same numbers as the list with that crop; the report takes the protocol that its rows have, and no other."""
    export(data)
    np.save(tmp_path / "some.npy", np.random.default_rng(0).uniform(0.1, 1, (3, 16, 32)).astype(np.float32))
    written, first = [], []
    for name, more in (("old", ["--crop", "garg"]), ("new", ["--protocol", "eigen"])):
        where = evaluation(data, tmp_path / "some.npy")
        evaluate_depth.main([*where, "--eval_mono", *more, "--output", str(tmp_path / f"{name}.json")])
        written.append(json.loads((tmp_path / f"{name}.json").read_text()))
        first.append(next(line for line in capsys.readouterr().out.splitlines() if "| crop" in line))
    assert written[0]["per_image"] == written[1]["per_image"]
    rest = f"split {data / 'split'} | crop garg | cap 80 m | median scaling | 3 images"
    assert first == [rest, f"protocol eigen | {rest}"]
    assert written[0]["protocol"]["changed"] == ["crop garg"] and written[1]["protocol"]["name"] == "eigen"
    rows = report_arguments(data, tmp_path, f"new={tmp_path / 'new.json'}")
    report_depth.main([*rows, "--protocol", "eigen"])
    assert (tmp_path / "report" / "report.md").read_text().startswith(f"protocol eigen | {rest}\n")
    with pytest.raises(
        UserError, match=r"new\.json: measured by eigen, not by eigen_benchmark; evaluate with"
    ):
        report_depth.main([*rows, "--protocol", "eigen_benchmark"])
    rows = report_arguments(data, tmp_path, f"old={tmp_path / 'old.json'}")
    with pytest.raises(
        UserError, match=r"measured by .*, crop garg, not by eigen; evaluate with --protocol eigen"
    ):
        report_depth.main([*rows, "--protocol", "eigen"])


def test_report_of_variants(data: Path, tmp_path: Path) -> None:
    """A row of each, under yardsticks that are scaled alike; not beside a file of one variant, nor another protocol."""
    export(data)
    np.save(tmp_path / "some.npy", np.random.default_rng(0).uniform(0.1, 1, (3, 16, 32)).astype(np.float32))
    words = [*evaluation(data, tmp_path / "some.npy"), "--output", str(tmp_path / "all.json"), "--variants"]
    evaluate_depth.main([*words, "--eval_mono"])
    rows = report_arguments(data, tmp_path, f"net={tmp_path / 'all.json'}")
    report_depth.main(rows)
    head, *lines = (tmp_path / "report" / "report.md").read_text().splitlines()
    assert head.endswith("| _gt: median scaling, else no median scaling | 3 images")
    found = {
        cells[0].strip(): cells[1].strip()
        for cells in (line.strip("| ").split("|") for line in lines)
        if cells[1:]
    }
    variants = json.loads((tmp_path / "all.json").read_text())["variants"]
    for variant in ("depth", "depth_gt"):
        assert found[f"net {variant}"] == f"{variants[variant]['mean']['abs_rel']:.3f}"
    assert found["best constant depth"] != found["best constant depth_gt"]
    evaluate_depth.main([*words[:-2], str(tmp_path / "one.json"), "--eval_mono"])
    evaluate_depth.main(
        [*words[:-2], str(tmp_path / "cap.json"), "--variants", "--eval_mono", "--depth_cap", "50"]
    )
    for name in ("one", "cap"):
        with pytest.raises(UserError, match=rf"{name}\.json: measured otherwise than the first"):
            report_depth.main([*rows, f"more={tmp_path / name}.json"])
    for broken in (
        {},
        {"depth": {"mean": variants["depth"]["mean"], "scaling": {"kind": "none", "factor": "x"}}},
        [],
    ):
        content = json.loads((tmp_path / "all.json").read_text()) | {"variants": broken}
        (tmp_path / "broken.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"broken\.json"):
            report_depth.main(report_arguments(data, tmp_path, f"net={tmp_path / 'broken.json'}"))


def report_arguments(data: Path, folder: Path, *metrics: str) -> list[str]:
    where = ["--data_path", str(data), "--split", str(data / "split"), "--output", str(folder / "report")]
    return [*where, "--rows", "2", "--disparities", str(folder / "some.npy"), "--metrics", *metrics]


# ---- mistakes, as the user sees them -----------------------------------------------------------------------------


def test_data_folder_is_missing(data: Path, tmp_path: Path) -> None:
    message = refused(
        "export_gt_depth.py", "--data_path", "kitti", "--split", data / "split", folder=tmp_path, here=True
    )
    assert_says(message, "kitti: no such folder", "--data_path")


def test_calibration_is_malformed(data: Path, tmp_path: Path) -> None:
    file = data / DATE / "calib_cam_to_cam.txt"
    file.write_text(file.read_text().replace("P_rect_02: 64 0", "P_rect_02: sixty-four 0"))
    message = refused(
        "export_gt_depth.py",
        *("--data_path", data, "--split", data / "split", "--source", "velodyne"),
        folder=tmp_path,
        here=True,
    )
    assert_says(message, file, "malformed calibration", "P_rect_02", "sixty-four")


def test_list_is_empty(data: Path, tmp_path: Path) -> None:
    file = data / "split" / "test_files.txt"
    file.write_text("\n")
    message = refused(
        "export_gt_depth.py", "--data_path", data, "--split", data / "split", folder=tmp_path, here=True
    )
    assert_says(message, file, "lists no frames", "<folder> <frame> <side>")


def test_ground_truth_of_another_number_of_images(data: Path, tmp_path: Path) -> None:
    export(data)
    np.save(tmp_path / "two.npy", np.ones((2, 8, 16), np.float32))
    message = refused(
        "evaluate_depth.py",
        *evaluation(data, tmp_path / "two.npy"),
        *("--eval_mono", "--output", tmp_path / "metrics.json"),
        folder=tmp_path,
        here=True,
    )
    assert_says(message, tmp_path / "two.npy", "2 predictions", "3 images")


def test_ground_truth_of_another_split(data: Path, tmp_path: Path) -> None:
    export(data)
    write_list(data / "split", "test", [1, 3, 2])
    np.save(tmp_path / "three.npy", np.ones((3, 8, 16), np.float32))
    message = refused(
        "evaluate_depth.py",
        *evaluation(data, tmp_path / "three.npy"),
        "--eval_mono",
        folder=tmp_path,
        here=True,
    )
    assert_says(message, data / "split" / "gt_depths.npz", f"{DRIVE} 3 l", "export_gt_depth.py")


@pytest.mark.parametrize("script", ["train.py", "evaluate_depth.py", "predict.py"])
def test_unknown_option(tmp_path: Path, script: str) -> None:
    message = refused(script, "--load_weight_folder", "x", folder=tmp_path, without=FRAMEWORKS, here=True)
    assert_says(message, "unknown option --load_weight_folder", "did you mean --load_weights_folder?")


def test_unknown_key_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("height: 64\nlearning_rat: 1e-4\n")
    message = refused("train.py", "--config", "mine.yml", folder=tmp_path, without=FRAMEWORKS, here=True)
    assert_says(message, "mine.yml: unknown option 'learning_rat'", "did you mean learning_rate?")


@pytest.mark.parametrize(("backend", "package"), [("torch", "torch"), ("paddle", "paddlepaddle")])
def test_framework_is_not_installed(tmp_path: Path, backend: str, package: str) -> None:
    message = refused("train.py", "--backend", backend, folder=tmp_path, without=(backend,), here=True)
    assert_says(message, f"--backend {backend}", "is not installed", f"pip install {package}")


# ---- mistakes, without the cost of a process ---------------------------------------------------------------------


def test_messages_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(argv: list[str] | None) -> None:
        raise UserError("first\nsecond")

    with pytest.raises(SystemExit) as end:
        run(fail)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: first second\n"


def test_export_leaves_nothing_half_done(data: Path) -> None:
    scan_path(data, DRIVE, 3).write_bytes(b"123")
    with pytest.raises(UserError, match=r"0000000003\.bin: truncated scan"):
        export(data, "--source", "velodyne")
    scan_path(data, DRIVE, 3).unlink()
    with pytest.raises(UserError, match=r"0000000003\.bin: no such scan"):
        export(data, "--source", "velodyne")
    write_list(data / "split", "test", [1, 9])
    with pytest.raises(UserError, match=r"0000000009\.png: no such image"):
        export(data)
    assert not (data / "split" / "gt_depths.npz").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable .npy file"),
        (b"PK\3\4 and no more", "not a readable .npy file"),
        (b"\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (3, 9, 9), }", "not a readable"),
        (None, "no such file; evaluate_depth.py --save_pred_disps"),
    ],
)
def test_damaged_disparities(data: Path, tmp_path: Path, content: bytes | None, reason: str) -> None:
    export(data)
    path = tmp_path / "disparities.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        evaluate_depth.main([*evaluation(data, path), "--eval_mono"])
    assert str(error.value).startswith(str(path))


def test_ground_truth_is_missing(data: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "three.npy", np.ones((3, 8, 16), np.float32))
    with pytest.raises(UserError, match=r"gt_depths.npz: no such ground truth; make it with export_gt_depth"):
        evaluate_depth.main([*evaluation(data, tmp_path / "three.npy"), "--eval_mono"])


def test_contradicting_protocols_are_refused(tmp_path: Path) -> None:
    words = ["--protocol", "eigen", "--eval_split", "make3d", "--eval_mono", "--ext_disp_to_eval", "a.npy"]
    message = refused("evaluate_depth.py", *words, folder=tmp_path, without=FRAMEWORKS, here=True)
    assert_says(message, "make3d is another protocol than eigen; leave out one of the two")


def test_report_refuses_what_does_not_belong_together(data: Path, tmp_path: Path) -> None:
    export(data)
    np.save(tmp_path / "some.npy", np.ones((3, 16, 32), np.float32))
    rows = []
    for scaling in ("--eval_mono", "--eval_stereo"):
        output = tmp_path / f"{scaling[7:]}.json"
        evaluate_depth.main([*evaluation(data, tmp_path / "some.npy"), scaling, "--output", str(output)])
        rows.append(f"{scaling[7:]}={output}")
    with pytest.raises(UserError, match=r"stereo\.json: measured otherwise than the first"):
        report_depth.main(report_arguments(data, tmp_path, *rows))
    with pytest.raises(UserError, match="is no output of evaluate_depth"):
        report_depth.main(report_arguments(data, tmp_path, f"list={data / 'split' / 'test_files.txt'}"))
    with pytest.raises(UserError, match=r"is not NAME=FILE\.json"):
        report_depth.main(report_arguments(data, tmp_path, "metrics.json"))
    np.save(tmp_path / "some.npy", np.ones((2, 16, 32), np.float32))
    with pytest.raises(UserError, match=r"some.npy: holds 2 predictions but the split lists 3 images"):
        report_depth.main(report_arguments(data, tmp_path, rows[0]))
    assert not (tmp_path / "report").exists()
