"""What PackNet's models say of their depth, and all variants of it in one table."""

import json

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
import train
from core.options.methods.packnet import PackNetOptions


@pytest.mark.parametrize(("supervision", "unit"), [("none", "relative"), ("velocity", "metres")])
def test_from_weights_to_tables_and_pictures(backend, drive, tmp_path, capsys, supervision, unit):
    device = ["--backend", backend.name, "--device", "cpu"]
    small = [word for name, value in PackNetOptions.SMALL.items() for word in (f"--{name}", str(value))]
    where = ["--data_path", str(drive), "--split", str(drive / "splits")]
    words = ["--method", "packnet", *small, *where, "--supervision", supervision, "--num_epochs", "0"]
    train.main([*words, *device, "--log_dir", str(tmp_path), "--model_name", "run", "--no_validation"])
    model = [*device, "--load_weights_folder", str(next((tmp_path / "run" / "models").iterdir()))]
    image = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 99, 3), np.uint8)).save(image)
    predict.main(["--image_path", str(image), *model, "--save", "depth", "png", "stacked"])
    with np.load(tmp_path / "x_depth.npz") as file:
        assert file["depth"].shape == (64, 96) and str(file["unit"]).startswith(unit)
    with Image.open(tmp_path / "x_rgb_disp.png") as picture:
        assert picture.size == (96, 128) and picture.text["unit"].startswith(unit)
    capsys.readouterr()
    words = ["--protocol", "packnet", "--eval_split", str(drive / "splits"), "--data_path", str(drive)]
    words += ["--output", str(tmp_path / "m.json"), "--num_workers", "0", "--variants"]
    evaluate_depth.main([*words, *model, "--eval_stereo" if unit == "metres" else "--eval_mono"])
    content = json.loads((tmp_path / "m.json").read_text())
    means = {name: one["mean"]["abs_rel"] for name, one in content["variants"].items()}
    assert list(means) == ["depth", "depth_pp", "depth_gt", "depth_pp_gt"] and len({*means.values()}) == 4
    assert capsys.readouterr().out.startswith("protocol packnet | split")
