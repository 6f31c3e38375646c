"""evaluate_depth.py on photographs of Make3D with a network at work."""

import json

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
from tests.backends.drive import link_weights
from tests.core.make3d_folder import COLUMNS, write_photograph


@pytest.mark.parametrize("post_process", [False, True])
def test_the_middle_is_what_the_network_sees(backend, trained, tmp_path, post_process) -> None:
    rng = np.random.default_rng(0)
    for name in "abc":
        noise = rng.integers(0, 256, (10, 8, 3), np.uint8)
        image = np.asarray(Image.fromarray(noise).resize((120, 160)))
        write_photograph(tmp_path / "make3d", name, rng.uniform(2, 60, (21, COLUMNS)), image)
    weights = link_weights(trained, tmp_path / "weights")
    where = ["--data_path", tmp_path / "make3d", "--eval_split", "make3d", "--eval_mono"]
    words = [*where, "--backend", backend.name, "--device", "cpu", "--load_weights_folder", weights]
    more = ["--save_pred_disps", "--batch_size", 2, "--num_workers", 1, "--output", tmp_path / "a.json"]
    more += ["--post_process"] if post_process else []
    evaluate_depth.main([str(word) for word in (*words, *more)])
    images = [np.asarray(Image.open(tmp_path / "make3d" / "Test134" / f"img-{name}.jpg")) for name in "abc"]
    predictor = backend.module("predictor").Predictor(trained, "cpu")
    # 60 of 160 rows, as the image is 120 wide.
    expected = predictor.disparity([image[50:110] for image in images], post_process)
    saved = weights / "disps_make3d_split.npy"
    np.testing.assert_allclose(np.load(saved), expected, rtol=1e-4)
    again = [*where, "--ext_disp_to_eval", saved, "--output", tmp_path / "b.json"]
    evaluate_depth.main([str(word) for word in again])
    a, b = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert a.pop("origin") != b.pop("origin")  # weights, a file
    assert a == b and a["names"] == ["abs_rel", "sq_rel", "rmse", "log10"] and min(a["mean"].values()) > 0
