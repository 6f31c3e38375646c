"""Errors of rays against known turns."""

import numpy as np
import pytest

from core.cameras.comparison import alignment, ray_error, ray_spread
from core.cameras.models import ImagePlane, Pinhole
from tests.core.paths import exactly_rigid
from tests.tolerances import assert_close

RAYS = Pinhole(ImagePlane(40.0, 41.0, 31.5, 23.5)).rays(48, 64)[0]
TURN = exactly_rigid(np.array([0.1, -0.2, 0.3]), np.zeros(3))[:3, :3]


@pytest.mark.parametrize("Q", [TURN, TURN @ np.diag([1.0, -1, 1])], ids=["turn", "reflection"])
def test_alignment_undoes_what_cannot_be_learnt(Q: np.ndarray) -> None:
    turned = np.einsum("ij,jhw->ihw", Q, RAYS) * 1.7
    assert_close(alignment(turned, RAYS), Q.T, "float64")
    error = ray_error(turned, RAYS)
    assert max(error.mean, error.median, error.percentile_95) < 1e-10
    assert ray_error(turned, RAYS, aligned=False).mean > 10


def test_error_is_the_angle() -> None:
    """Of a tenth of the pixels 5 degrees; masked ones do not count."""
    bent, valid = RAYS.copy(), np.ones((48, 64), bool)
    about = exactly_rigid(np.radians([0.0, 5.0, 0.0]), np.zeros(3))[:3, :3]
    bent[:, :24, :16] = np.einsum("ij,jhw->ihw", about, bent[:, :24, :16])
    across = np.degrees(np.arccos(np.minimum((bent * RAYS).sum(0), 1)))[:24, :16]
    error = ray_error(bent, RAYS, aligned=False)
    assert error.mean == pytest.approx(across.mean() / 8) and error.median < 1e-10
    assert error.percentile_95 == pytest.approx(
        np.percentile(np.where(np.arange(48 * 64) < 384, np.resize(across, 48 * 64), 0), 95)
    )
    valid[:24, :16] = False
    assert ray_error(bent, RAYS, valid).mean < 1e-10


def test_spread_of_frames() -> None:
    left, right = (exactly_rigid(np.radians([0.0, 0.0, sign]), np.zeros(3))[:3, :3] for sign in (1.0, -1.0))
    side = np.array([[[1.0]], [[0.0]], [[0.0]]])
    frames = np.stack([np.einsum("ij,jhw->ihw", Q, side) for Q in (left, right)])
    assert ray_spread(frames) == pytest.approx(1.0)
    assert ray_spread(np.stack([RAYS, RAYS])) < 1e-5
