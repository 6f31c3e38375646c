"""ONNX files against the predictor whose numbers they have to give, read as any other program would."""

import importlib.util
import shutil

import numpy as np
import pytest

import export_onnx
from core.errors import UserError
from core.prediction import onnx_file
from tests.backends.drive import HEIGHT, WIDTH
from tests.scripts import ROOT, assert_says, refused, run_here, succeeds
from tests.tolerances import assert_close

onnx = pytest.importorskip("onnx", reason="needs requirements-onnx.txt")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")

# All that an engine such as TensorRT has to know; each of the standard's own domain.
OPERATORS = {
    "torch": {
        "Add",
        "Concat",
        "Conv",
        "Div",
        "Elu",
        "MaxPool",
        "Mul",
        "Pad",
        "Relu",
        "Resize",
        "Sigmoid",
        "Sub",
    },
    "paddle": {
        *(
            "Add",
            "BatchNormalization",
            "Concat",
            "Conv",
            "Elu",
            "MaxPool",
            "Mul",
            "Relu",
            "Resize",
            "Sigmoid",
        ),
        "Slice",
    },
}
BATCH = 2


@pytest.fixture(scope="module", autouse=True)
def paddle2onnx(backend):
    """There is none for Python 3.12 and 3.13."""
    if backend.name == "paddle" and importlib.util.find_spec("paddle2onnx") is None:
        pytest.skip("paddle2onnx is not installed (requirements-onnx.txt)")


@pytest.fixture(scope="module")
def exported(backend, trained, tmp_path_factory):
    """The file of two images, in a folder that was not there, what the script printed, what the framework made."""
    path = tmp_path_factory.mktemp("onnx") / "new" / "depth.onnx"
    export, made = backend.module("export"), []
    to_onnx = export.to_onnx
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "to_onnx", lambda *call: made.append(to_onnx(*call)) or made[-1])
        words = arguments(backend, trained, path)
        said = exports(*words, "--batch_size", BATCH)
    yield path, said, made[0]
    path.unlink()


def exports(*words):
    """What the script printed, which must succeed without a word on stderr."""
    done = run_here("export_onnx.py", *words)
    assert done.returncode == 0, done.stderr
    # PaddlePaddle's own log has a word for a process that has done other things before.
    assert [line for line in done.stderr.splitlines() if "eager_utils.cc" not in line] == []
    return done.stdout


@pytest.fixture(scope="module")
def model(exported):
    return onnx.load(exported[0])


def arguments(backend, weights, path):
    return ["--backend", backend.name, "--load_weights_folder", str(weights), "--output", str(path)]


def shape(value):
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_of_the_predictor(backend, trained, exported, seed):
    """Images that the export has not seen: noise, and a gradient whose edges differ from one another."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, WIDTH)[None, :, None] * rng.uniform(0.2, 1, (HEIGHT, 1, 3))
    images = np.stack([rng.integers(0, 256, (HEIGHT, WIDTH, 3)), ramp]).astype(np.uint8)
    predictor = backend.module("predictor").Predictor(trained, "cpu")
    expected = predictor.disparity(images)
    session = onnxruntime.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    image = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    (found,) = session.run(None, {"image": image})
    assert found.dtype == np.float32
    assert_close(found, expected[:, None], "operator")
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * expected.max()


def test_size_and_operators_are_fixed(backend, model):
    assert [(value.name, shape(value)) for value in model.graph.input] == [
        ("image", [BATCH, 3, HEIGHT, WIDTH])
    ]
    assert [(value.name, shape(value)) for value in model.graph.output] == [
        ("disparity", [BATCH, 1, HEIGHT, WIDTH])
    ]
    assert {(node.domain, node.op_type) for node in model.graph.node} == {
        ("", operator) for operator in OPERATORS[backend.name]
    }
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert not model.functions


def test_what_the_file_says(exported, trained, model):
    """What it is, in which unit, and nothing of the machine it was made on but the weights' name."""
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["quantity"] == "disparity" and properties["depth"] == "scale_factor / disparity"
    assert (properties["unit"], properties["scale_factor"]) == ("metres", "5.4")
    assert properties["model"] == str(trained)
    assert_says(properties["input"], "RGB from 0 to 1", "image")
    assert str(ROOT).encode() not in exported[0].read_bytes()
    assert_says(
        exported[1], "depth = 5.4 / disparity, metres", f"image (2, 3, {HEIGHT}, {WIDTH})", "bound 1e-04"
    )


def test_another_size_and_weights_of_another_format(backend, tiny_trained, tmp_path):
    """The torch backend writes what the other one cannot write where paddle2onnx is not to be had."""
    weights, path = tmp_path / "weights", tmp_path / "depth.onnx"
    to = {"torch": "paddle", "paddle": "safetensors"}[backend.name]
    succeeds("convert_weights.py", tiny_trained, "--to", to, "--output", weights, here=True)
    size = ["--height", 64, "--width", 96]
    said = exports(*arguments(backend, weights, path), *size)
    assert_says(said, "image (1, 3, 64, 96) → disparity (1, 1, 32, 48)")
    graph = onnx.load(path).graph
    assert shape(graph.input[0]) == [1, 3, 64, 96] and shape(graph.output[0]) == [1, 1, 32, 48]
    shutil.rmtree(tmp_path)


def test_impossible_size(backend, trained, tmp_path):
    with pytest.raises(UserError, match="option width: 100 is no multiple of 32"):
        export_onnx.main([*arguments(backend, trained, tmp_path / "depth.onnx"), "--width", "100"])
    assert not any(tmp_path.iterdir())


def test_other_numbers_are_not_written(backend, trained, exported, tmp_path, monkeypatch):
    """What has been there stays."""
    path = tmp_path / "depth.onnx"
    path.write_bytes(b"older")
    finish = onnx_file.finish

    def damaged(content, properties):
        model = finish(content, properties)
        first = (8, 3, 7, 7)  # without it the networks see nothing
        weights = next(array for array in model.graph.initializer if tuple(array.dims) == first)
        weights.raw_data = bytes(len(weights.raw_data))
        return model

    monkeypatch.setattr(backend.module("export"), "to_onnx", lambda *call: exported[2])
    monkeypatch.setattr(onnx_file, "finish", damaged)
    with pytest.raises(UserError, match=r"depth\.onnx: not written, onnxruntime differs from"):
        export_onnx.main([*arguments(backend, trained, path), "--batch_size", str(BATCH)])
    assert [file.name for file in tmp_path.iterdir()] == ["depth.onnx"] and path.read_bytes() == b"older"


def test_folder_without_weights(backend, tmp_path):
    message = refused(
        "export_onnx.py", *arguments(backend, "absent", "depth.onnx"), folder=tmp_path, here=True
    )
    assert message.startswith("absent: ")
    assert refused("export_onnx.py", "--backend", backend.name, folder=tmp_path, here=True).startswith(
        "--load_weights_folder is missing"
    )


def test_packages_that_are_not_installed(backend, tmp_path):
    """Said before the weights are looked for."""
    for package in onnx_file.PACKAGES[backend.name]:
        call = arguments(backend, "absent", "depth.onnx")
        message = refused("export_onnx.py", *call, folder=tmp_path, without=(package,), here=True)
        assert_says(message, f"take {package}, not installed", "pip install -r requirements-onnx.txt")
        assert ("or use --backend torch" in message) == (package == "paddle2onnx")
