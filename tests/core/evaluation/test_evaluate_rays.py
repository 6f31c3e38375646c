"""Range and rays beside the truth: exact for predictions that are true but for a scale and a turn."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_rays
from core.cameras.models import dummy
from core.cameras.templates import write_template
from core.errors import UserError
from core.geometry import rotation
from tests.tolerances import assert_close

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def drive(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two range maps as 16 bits, the rays, and a mask."""
    generator = np.random.default_rng(0)
    (tmp_path / "range").mkdir()
    truths = {}
    for name in ("0000000000", "0000000001"):
        pixels = generator.integers(256, 60 * 256, (HEIGHT, WIDTH)).astype(np.uint16)
        pixels[:2] = 0
        Image.fromarray(pixels).save(tmp_path / "range" / f"{name}.png")
        truths[name] = pixels / 256
    rays = dummy(HEIGHT, WIDTH).rays(HEIGHT, WIDTH)[0]
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:, -4:] = False
    write_template(tmp_path / "rays.npz", rays, valid)
    return truths | {"rays": rays}


def predict(folder: Path, drive, scale: float, turn: np.ndarray, **more) -> None:
    folder.mkdir()
    for name in ("0000000000", "0000000001"):
        depth = np.where(drive[name] > 0, drive[name], 1) * scale
        rays = np.einsum("ij,jhw->ihw", turn, drive["rays"])
        arrays = {"depth": depth.astype(np.float32), "rays": rays.astype(np.float32)} | more
        np.savez(folder / f"{name}_depth.npz", **{key: a for key, a in arrays.items() if a is not None})


def report(tmp_path: Path, *more: str) -> dict:
    words = [
        "--truth",
        tmp_path / "range",
        "--rays",
        tmp_path / "rays.npz",
        "--output",
        tmp_path / "out",
        *more,
    ]
    evaluate_rays.main([str(word) for word in words])
    return json.loads((tmp_path / "out" / "rays.json").read_text())


def test_true_but_for_scale_and_turn(tmp_path: Path, drive) -> None:
    turn = rotation(np.array([0.3, -0.2, 0.5])) @ np.diag([1, 1, -1])
    predict(tmp_path / "exact", drive, 0.1, turn)
    predict(tmp_path / "flat", drive, 1.0, np.eye(3), depth=np.ones((HEIGHT, WIDTH), np.float32))
    found = report(
        tmp_path,
        *("--predictions", f"flat={tmp_path / 'flat'}", f"exact={tmp_path / 'exact'}"),
        *("--training", str(tmp_path / "range"), "--template", "pinhole", "12", "12", "15.5", "11.5"),
    )
    assert list(found["range"]) == ["the same range everywhere", "median range per pixel", "flat", "exact"]
    assert found["range"]["exact"]["abs_rel"] < 1e-6 and found["range"]["exact"]["a1"] == 1
    assert_close(
        found["range"]["flat"]["abs_rel"], found["range"]["the same range everywhere"]["abs_rel"], (1e-6, 0)
    )
    assert found["rays"]["exact"]["mean"] < 1e-4 and found["rays"]["exact"]["spread"] < 1e-4
    assert found["rays"]["template"]["mean"] > 1
    assert (tmp_path / "out" / "rays.png").is_file()
    assert "| exact" in (tmp_path / "out" / "rays.md").read_text()


def test_depth_of_a_pinhole_is_made_range(tmp_path: Path, drive) -> None:
    """Along the axis times the length of the ray at z = 1; its rays are those of its numbers."""
    K = np.array([[WIDTH / 2, 0, WIDTH / 2], [0, HEIGHT / 2, HEIGHT / 2], [0, 0, 1]])
    (tmp_path / "z").mkdir()
    for name in ("0000000000", "0000000001"):
        z = np.where(drive[name] > 0, drive[name], 1) * drive["rays"][2]
        np.savez(tmp_path / "z" / f"{name}_depth.npz", depth=z, intrinsics=K)
    found = report(tmp_path, "--predictions", f"z={tmp_path / 'z'}")
    assert found["range"]["z"]["abs_rel"] < 1e-6
    assert found["rays"]["z"]["mean"] < 1e-4 and found["rays"]["z"]["spread"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"depth": np.zeros((HEIGHT, WIDTH), np.float32)}, "above 0"),
        ({"rays": np.ones((2, 2), np.float32)}, "`rays` are not"),
        ({"depth": None}, "no map `depth`"),
    ],
)
def test_bad_predictions(tmp_path: Path, drive, change, reason) -> None:
    predict(tmp_path / "bad", drive, 1.0, np.eye(3), **change)
    with pytest.raises(UserError, match=reason):
        report(tmp_path, "--predictions", f"bad={tmp_path / 'bad'}")
    assert not (tmp_path / "out").exists()


def test_missing_files(tmp_path: Path, drive) -> None:
    with pytest.raises(UserError, match="no such prediction"):
        report(tmp_path, "--predictions", f"none={tmp_path / 'none'}")
    with pytest.raises(UserError, match="no range maps"):
        report(tmp_path / "elsewhere", "--predictions", f"none={tmp_path / 'none'}")
