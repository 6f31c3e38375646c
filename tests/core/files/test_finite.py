"""No result with a value that is not finite is ever written: whatever writes says so, and leaves nothing."""

import ast
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.datasets.ground_truth import SparseDepth, save_ground_truth
from core.errors import UserError
from core.evaluation.comparison import Scaling
from core.evaluation.depth import DepthMetrics, save_csv, save_json
from core.evaluation.disparity_files import save_disparities
from core.evaluation.pictures import save_disparity_pictures
from core.files.arrays import save_array, save_arrays, write_json
from core.odometry.trajectories import Trajectory, save_motions, write_trajectory
from core.options import PredictionOptions
from core.options.protocols import PROTOCOLS
from core.prediction.files import IN_FOLDERS, WRITERS, PredictionWriter
from core.prediction.point_cloud import VERTEX, write_ply
from tests.conftest import ROOT
from tests.syntax import tree_of


def spoilt(*shape: int, value: float = math.nan) -> np.ndarray:
    array = np.full(shape, 0.5, np.float32)
    array.ravel()[-1] = value
    return array


def metrics() -> DepthMetrics:
    protocol = PROTOCOLS["eigen"]
    values = spoilt(1, len(protocol.rule.metrics), value=math.inf)
    return DepthMetrics(protocol, Scaling(), values, np.array([5]), np.array([1.0]))


def cloud() -> np.ndarray:
    vertices = np.zeros(3, VERTEX)
    vertices["xyz"][1, 2] = math.inf
    return vertices


WRITE: dict[str, Callable[[Path], None]] = {
    "disparities": lambda path: save_disparities(path, spoilt(2, 3, 4)),
    "pictures": lambda path: save_disparity_pictures(path, spoilt(2, 3, 4)[1:]),
    "motions": lambda path: save_motions(path, spoilt(2, 4, 4)),
    "trajectory": lambda path: write_trajectory(
        path, Trajectory(np.arange(2), spoilt(2, 4, 4).transpose(0, 2, 1)[:, ::-1])
    ),
    "truth": lambda path: save_ground_truth(
        path, [SparseDepth((2, 3), np.array([1, 4], np.int32), spoilt(2), "a 1 l")]
    ),
    "metrics": lambda path: save_json(path, metrics(), ["a 1 l"]),
    "table": lambda path: save_csv(path, metrics(), ["a 1 l"]),
    "cloud": lambda path: write_ply(path, cloud()),
    "array": lambda path: save_array(path, spoilt(2, value=-math.inf)),
    "arrays": lambda path: save_arrays(path, {"one": np.ones(2), "two": spoilt(2)}),
    "json": lambda path: write_json(path, {"a": [1.0, math.nan]}),
}


@pytest.mark.parametrize("name", WRITE)
def test_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}.*: not written: .*not finite"):
        WRITE[name](tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [*WRITERS, *IN_FOLDERS])
@pytest.mark.parametrize(
    ("value", "factor", "message"),
    [
        (math.nan, 1.0, "disparity: 1 of 32 values"),
        (math.inf, 1.0, "disparity: 1 of 32"),
        (0.0, 1.0, "depth: 1 of 32 values are not finite"),
        (0.5, 1e39, "depth: 32 of 32 values are not finite .* lower --pred_depth_scale_factor"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_files_of_an_image(tmp_path: Path, kind: str, value: float, factor: float, message: str) -> None:
    options = PredictionOptions(pred_depth_scale_factor=factor, intrinsics=[0.58, 1.92, 0.5, 0.5])
    writer = PredictionWriter(options, [kind], "weights_3", max_depth=100.0)
    with pytest.raises(UserError, match=f"a: nothing written: {message}"):
        writer.save(tmp_path / "a", np.zeros((4, 8, 3), np.uint8), spoilt(4, 8, value=value))
    assert list(tmp_path.iterdir()) == []


def test_finite_results_are_as_they_were(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    save_array(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    save_arrays(tmp_path / "a.npz", {"one": array, "text": "metres"})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["one"], array)
        assert str(file["text"]) == "metres"


# No result of a user: an exchange between two processes, the batch that led to an error, rays of a rendered camera.
OTHERS = {"core/files/arrays.py", "core/parity/results.py", "core/parity/request.py", "backends/outputs.py"}
OTHERS |= {"core/rendering/writer.py"}
OTHERS |= {f"backends/{backend}/trainer.py" for backend in ("torch", "paddle")}


def test_nobody_else_writes_arrays() -> None:
    """Whoever calls NumPy's writers goes around the check."""
    found = set()
    writers = ("save", "savez", "savez_compressed", "savetxt")
    for path in [*ROOT.glob("*.py"), *(ROOT / "core").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and node.attr in writers and ast.unparse(node.value) == "np":
                found.add(str(path.relative_to(ROOT)))
    assert found == OTHERS
