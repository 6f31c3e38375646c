"""FeatDepth's two stages as train.py runs them: an autoencoder, then depth by its features, which stay: 1 minute."""

import numpy as np

from core.options.parsing import parse_method
from tests.backends.drive import make_drive
from tests.scripts import succeeds

SHARED = ["--method", "featdepth", "--weights_init", "scratch", "--batch_size", "2", "--num_epochs", "1"]


def test_depth_by_the_features_of_a_trained_autoencoder(backend, tmp_path):
    drive, runs = make_drive(tmp_path / "drive"), tmp_path / "runs"
    where = ["--data_path", drive, "--split", drive / "splits", "--log_dir", runs, "--device", "cpu"]
    arguments = [*map(str, where), *SHARED, "--backend", backend.name, "--num_workers", "1"]
    size = ["--extractor_layers", "18", "--height", "96", "--width", "96"]
    said = succeeds(
        "train.py", *arguments, "--model", "autoencoder", *size, "--model_name", "images", here=True
    )
    assert "validation: loss 0." in said
    images = runs / "images" / "models" / "weights_0"
    depth = [
        "--num_layers",
        "18",
        "--height",
        "64",
        "--width",
        "96",
        "--pose_size",
        "64",
        "96",
        "--use_stereo",
    ]
    depth += ["--extractor", str(images), "--model_name", "depth"]
    said = succeeds("train.py", *arguments, *depth, here=True)
    assert "abs_rel" in said
    checkpoint = backend.module("checkpoint")
    found = [
        checkpoint.read_weights(folder / f"{name}{checkpoint.EXTENSION}")
        for folder, name in (
            (images, "image_encoder"),
            (runs / "depth" / "models" / "weights_0", "extractor"),
        )
    ]
    for name, array in found[0].items():
        if not name.startswith("encoder.bn1.") or name.endswith(("weight", "bias")):
            np.testing.assert_array_equal(array, found[1][name], err_msg=name)
    moved = "encoder.bn1.running_mean"  # the stem is normalised by its batches
    assert (found[0][moved] != found[1][moved]).any()
    trainer = backend.module("trainer").Trainer(
        parse_method([*arguments, *depth, "--num_epochs", "2", "--resume"])
    )
    assert trainer.start.step == 2
