"""The parity certificate of PackNet's whole networks, by the script: 128 million parameters on both backends at once.

    python -m pytest tests/slow/test_packnet_certificate.py

Not yet measured; predicted 4 to 6 minutes of each backend's processor and 8 GB of memory for the largest, at 96x64.
"""

import json
from pathlib import Path

import pytest

from tests.core.parity.test_parity import needs_both
from tests.scripts import assert_says, succeeds

NETWORKS = {
    "packnet01 1A": ("--depth_network", "packnet01"),
    "packnet01 1B": ("--depth_network", "packnet01", "--version", "1B"),
    "packnet_slim01 1A": ("--depth_network", "packnet_slim01"),
}


@needs_both
@pytest.mark.parametrize("network", NETWORKS)
def test_both_backends_agree(tmp_path: Path, network: str) -> None:
    """Speed and measured depth do not change the networks: the usual self-supervision has both of them."""
    words = ["--method", "packnet", *NETWORKS[network], "--batch_size", 1, "--steps", 2, "--timeout", 3600]
    printed = succeeds("check_parity.py", *words, "--output", tmp_path)
    assert_says(printed, network, "checks passed", tmp_path / "parity.json")
    written = json.loads((tmp_path / "parity.json").read_text())
    by_title = {(check["title"], check["precision"]): check for check in written["checks"]}
    assert written["passed"] and {"depth layers", "pose layers"} <= {title for title, _ in by_title}
    compared = by_title["gradients, loss", "float64"]["items"]
    assert sum(item["name"].startswith("depth/") for item in compared) == 216
    assert all(item["largest_value"] > 0 for item in compared)
