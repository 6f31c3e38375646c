"""The parity certificate with the default pose network, by the script: both backends in processes of their own."""

from pathlib import Path

from tests.core.parity.test_parity import check_agreement, needs_both


@needs_both
def test_both_backends_agree(tmp_path: Path) -> None:
    # Two encoders, the depth decoder, the pose decoder.
    check_agreement(tmp_path, "separate_resnet", gradients=2 * 60 + 28 + 8)
