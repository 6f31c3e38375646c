"""The parity certificate of Monodepth2, by the script: both backends in processes of their own.

In every run `tests/backends/test_tiny.py` does so with `tiny`, in processes that began before.
Each backend by itself meets recorded numbers.
"""

import json
from pathlib import Path

import pytest

from backends import BACKENDS, installed_backends
from core.parity.bounds import PRECISIONS
from tests.scripts import assert_says, succeeds

# Two encoders, the depth decoder, the pose decoder; or an encoder, the depth decoder, eight convolutions.
GRADIENTS = {"separate_resnet": 2 * 60 + 28 + 8, "posecnn": 60 + 28 + 16}


@pytest.mark.skipif(len(installed_backends()) < len(BACKENDS), reason="needs PyTorch and PaddlePaddle both")
@pytest.mark.parametrize("pose", GRADIENTS)
def test_both_backends_agree(tmp_path: Path, pose: str) -> None:
    """The certificate of a small run with this pose network, and that so many gradients were compared."""
    size = ["--width", 64, "--batch_size", 1, "--frame_ids", 0, 1, "--pose_model_type", pose]
    printed = succeeds("check_parity.py", *size, "--steps", 2, "--output", tmp_path)
    assert_says(printed, "monodepth2, ResNet-18, 64x64", "checks passed", tmp_path / "parity.json")
    assert max(map(len, printed.splitlines())) < 120
    written = json.loads((tmp_path / "parity.json").read_text())
    assert written["passed"] and set(written["backends"]) == set(BACKENDS)
    assert written["sha256_of_weights"]["torch"] == written["sha256_of_weights"]["paddle"]
    by_title = {(check["title"], check["precision"]): check for check in written["checks"]}
    for network, first in (("encoder", "encoder.conv1"), ("depth", "decoder.0.conv.conv"), ("pose", "net.0")):
        for precision in PRECISIONS:
            layers = by_title[f"{network} layers", precision]
            assert layers["items"][0]["name"] == first and layers["items"][-1]["name"].startswith("output")
            assert all(item["largest_value"] > 0 for item in layers["items"])
    terms = by_title["loss terms", "float64"]
    assert {item["name"] for item in terms["items"]} == {
        f"{kind}/{scale}" for kind in ("photometric", "smoothness") for scale in range(4)
    }
    compared = by_title["gradients, loss", "float64"]["items"]
    assert len(compared) == GRADIENTS[pose]
    assert all(item["largest_value"] > 0 for item in compared)  # every parameter learns
    assert len(by_title["loss of each step", "float32"]["items"]) == 2
