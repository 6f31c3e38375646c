"""What checkpoints take, told before the first."""

from pathlib import Path
from types import SimpleNamespace

from core.options import OPTIONS
from core.training import space
from core.training.space import checkpoint_bytes, space_needed


def test_a_checkpoint_has_every_number_and_two_moments_of_those_that_are_trained() -> None:
    weight, statistics = SimpleNamespace(shape=(16, 3, 5)), SimpleNamespace(shape=[16])
    networks = {"depth": {"weight": weight, "running_mean": statistics}, "pose": {"bias": statistics}}
    assert checkpoint_bytes(networks, [weight, statistics]) == 4 * (240 + 16 + 16 + 2 * (240 + 16))


def test_a_full_disk_is_foreseen(monkeypatch, tmp_path: Path) -> None:
    options = next(iter(OPTIONS.values()))(num_epochs=20, save_frequency=3, validation=False)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: SimpleNamespace(free=7 * 10**9))
    line = space_needed(options, 1_540_000_000, 500_000_000, tmp_path)
    assert line == (
        "a checkpoint takes 0.50 GB, the newest 1.54 GB with Adam's moments, 7 of them and what is in the making "
        "5.58 GB at most"
    )
    options.save_frequency, options.validation = 1, True  # the best, and the one that takes its place
    line = space_needed(options, 1_540_000_000, 500_000_000, tmp_path)
    assert (
        "20 of them and what is in the making 13.08 GB at most, but only 7.00 GB are free here: raise --save"
        in line
    )
    options.keep_moments = [9]
    assert "14.12 GB at most" in space_needed(options, 1_540_000_000, 500_000_000, tmp_path)
