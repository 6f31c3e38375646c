"""DDAD's format from the command line: the real sample trains and is evaluated, on both backends."""

import json

import numpy as np
import pytest

import evaluate_depth
import train
from core.options.methods.packnet import PackNetOptions
from tests.core.ddad_folder import copy_sample, write_scenes

SMALL = [word for name, value in PackNetOptions.SMALL.items() for word in (f"--{name}", str(value))]
CAMERAS = ["--cameras", "camera_01", "CAMERA_05"]


def words(backend, root):
    return ["--backend", backend.name, "--device", "cpu", "--data_path", str(root), "--dataset", "ddad"]


def training(backend, root, runs, *more):
    where = [*words(backend, root), "--log_dir", str(runs), "--model_name", "run", "--num_workers", "0"]
    return [
        "--method",
        "packnet",
        *SMALL,
        *where,
        "--protocol",
        "packnet_ddad",
        "--log_frequency",
        "1",
        *more,
    ]


def test_the_real_sample(backend, shared, tmp_path, capsys):
    """Its points teach and score; a row for each camera, and one of all images."""
    root = copy_sample(shared, tmp_path / "ddad")
    semi = ["--supervision", "semi", *CAMERAS, "--num_epochs", "1"]
    train.main(training(backend, root, tmp_path, *semi))
    said = capsys.readouterr()
    log = said.out
    assert "warning" not in said.out + said.err, said  # right data pass without a word
    assert "2 training and 6 validation samples" in log and "validation: abs_rel" in log, log
    maps = {path.relative_to(root).as_posix() for path in root.rglob("depth/**/*.npz")}
    assert len(maps) == 6 and "scene_01/depth/lidar/CAMERA_05/15569195939415230.npz" in maps
    model = ["--load_weights_folder", str(tmp_path / "run" / "models" / "weights_0")]
    where = [*words(backend, root), *model, "--protocol", "packnet_ddad", *CAMERAS, "--num_workers", "0"]
    evaluate_depth.main([*where, "--eval_stereo", "--output", str(tmp_path / "m.json")])
    said = capsys.readouterr()
    printed = said.out
    assert "warning" not in said.out + said.err, said
    assert printed.startswith("protocol packnet_ddad | split val | crop none | cap 200 m | ")
    found = json.loads((tmp_path / "m.json").read_text())
    assert found["images"] == 6 and list(found["groups"]) == ["CAMERA_01", "CAMERA_05"]
    parts = [found["groups"][name]["mean"]["abs_rel"] for name in ("CAMERA_01", "CAMERA_05")]
    assert np.mean(parts) == pytest.approx(found["mean"]["abs_rel"]) and parts[0] != parts[1]
    assert len([line for line in printed.splitlines() if line.startswith(" CAMERA_0")]) == 2


def test_velocity(backend, tmp_path, capsys):
    """The real sample stands still, so a car of ours drives."""
    root = write_scenes(tmp_path / "ddad")
    taught = ["--supervision", "velocity", *CAMERAS, "--num_epochs", "1", "--no_validation"]
    train.main(training(backend, root, tmp_path, *taught))
    printed = capsys.readouterr()
    assert "median 0.5 m" in printed.out + printed.err
    root = write_scenes(tmp_path / "dry")
    before = sorted(root.rglob("*"))
    train.main([*training(backend, root, tmp_path / "none", *taught, "--supervision", "semi", "--dry_run")])
    assert sorted(root.rglob("*")) == before and not (tmp_path / "none").exists()
    assert "train: ddad in" in capsys.readouterr().out
