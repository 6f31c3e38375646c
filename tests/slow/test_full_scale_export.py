"""The largest decoder as ONNX: `python -m pytest tests/slow --backend torch -k export`."""

import importlib.util

import pytest

from tests.backends.drive import HEIGHT, WIDTH
from tests.backends.methods.test_epcdepth_weights import SIZE, arguments, model, names  # noqa: F401 (fixtures)
from tests.scripts import succeeds


def test_exported(backend, model, tmp_path):  # noqa: F811
    """Verified by the script; the encoder's heads are not in the file."""
    onnx = pytest.importorskip("onnx", reason="needs requirements-onnx.txt")
    pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
    if backend.name == "paddle" and importlib.util.find_spec("paddle2onnx") is None:
        pytest.skip("paddle2onnx is not installed (requirements-onnx.txt)")
    path = tmp_path / "depth.onnx"
    words = arguments(backend, model, "--output", path, *SIZE)
    # PaddlePaddle in a process of its own, which says nothing; see tests/backends/test_export.py.
    said = succeeds("export_onnx.py", *words, here=backend.name == "torch")
    assert f"disparity (1, 1, {HEIGHT}, {WIDTH})" in said and "bound 1e-04" in said
    graph = onnx.load(path).graph
    path.unlink()
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    # 20 of the ResNet-18; 2 L of a block with L levels; one of the head.
    assert len(convolutions) == 20 + sum(2 * levels for levels in (3, 4, 5, 6, 7)) + 1
