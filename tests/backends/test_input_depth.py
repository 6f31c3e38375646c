"""Depth beside the image: predict.py and export_onnx.py with a model that takes it."""

import importlib

import numpy as np
import pytest
from PIL import Image

import export_onnx
import predict
from core.datasets.input_depth import fixed_points, thin
from core.datasets.preparation import scatter
from core.errors import UserError
from core.options.needs import Input
from core.prediction import onnx_file
from tests.backends.drive import TINY_HEIGHT, TINY_WIDTH
from tests.scripts import assert_says, refused, succeeds
from tests.tolerances import assert_close

SIZE = (60, 100)  # of the photographs


def predict_both(method, inputs):
    """`tiny` with depth where it has a hint."""
    return {"disparity": method.tiny(inputs["image"], inputs.get("input_depth"))}


@pytest.fixture
def weights(backend, tiny_trained, monkeypatch):
    """Of `tiny`, which takes depth here."""
    method = importlib.import_module(f"tests.tiny.{backend.name}_method").Tiny
    monkeypatch.setattr(method, "inputs", {"image": Input(3), "input_depth": Input(1, required=False)})
    monkeypatch.setattr(method, "predict", predict_both)
    return tiny_trained


@pytest.fixture
def photographs(tmp_path):
    """Two, and their depth."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / f"{name}.jpg")
        depth = np.where(rng.random(SIZE) < 0.1, rng.uniform(1, 80, SIZE), 0)
        Image.fromarray(np.round(256 * depth).astype(np.uint16)).save(folder / f"{name}.png")
    return folder


def arguments(backend, images, weights, *more):
    words = ["--backend", backend.name, "--device", "cpu", "--image_path", images]
    words += ["--load_weights_folder", weights, "--save", "disparity", "--ext", "jpg"]
    return [str(word) for word in (*words, *more)]


@pytest.mark.parametrize(
    "more", [[], ["--post_process", "--batch_size", "2"], ["--input_depth_points", "0.2"]]
)
def test_predictions_with_depth_beside_the_image(backend, weights, photographs, tmp_path, capsys, more):
    words = ["--input_depth", photographs, "--output", tmp_path / "out", *more]
    predict.main(arguments(backend, photographs, weights, *words))
    predictor = backend.module("predictor").Predictor(weights, "cpu")
    points = 0
    for name in "ab":
        image = np.asarray(Image.open(photographs / f"{name}.jpg"))
        depth = np.asarray(Image.open(photographs / f"{name}.png")) / np.float32(256)
        depth = thin(depth, 0.2 if "--input_depth_points" in more else 1, fixed_points(name))
        points += (depth > 0).sum()
        given = {"input_depth": scatter(depth, TINY_HEIGHT, TINY_WIDTH)[None, None]}
        expected = predictor.disparity([image], "--post_process" in more, given)
        assert_close(np.load(tmp_path / "out" / f"{name}_disp.npy")[0, 0], expected[0], "operator")
        assert abs(expected - predictor.disparity([image], "--post_process" in more)).max() > 1e-3
    said = capsys.readouterr().out
    assert_says(said, f"2 images with depth of {photographs} ({round(points / 2)} points per image")
    assert ("0.2 of those given" in said) == ("--input_depth_points" in more)


def test_depth_that_cannot_be(backend, weights, photographs, tmp_path, monkeypatch):
    def message(*more):
        words = arguments(backend, photographs, weights, *more)
        return refused("predict.py", *words, folder=tmp_path, here=True)

    assert_says(message("--input_depth", "gone"), "gone: no such file or folder; see --input_depth")
    assert_says(message("--input_depth", photographs / "a.png"), "one file of depth for 2 images")
    assert_says(message("--input_depth_points", "0.5"), "only with --input_depth")
    assert_says(message("--input_depth", photographs, "--input_depth_points", "2"), "not above 0, up to 1")
    Image.fromarray(np.ones((10, 10), np.uint16)).save(photographs / "a.png")
    assert_says(message("--input_depth", photographs), "a.png: no depth of a metre or more")
    np.save(photographs / "a.npy", np.ones((10, 12)))
    assert_says(message("--input_depth", photographs), "a.npy: depth of 12x10, but its image has 100x60")
    (photographs / "a.npy").unlink(), (photographs / "a.png").unlink()
    assert_says(message("--input_depth", photographs), "a.npz, a.npy or a.png; add it")
    method = importlib.import_module(f"tests.tiny.{backend.name}_method").Tiny
    monkeypatch.setattr(method, "inputs", {"image": Input(3)})
    single = arguments(backend, photographs / "b.jpg", weights, "--input_depth", photographs / "b.png")
    said = refused("predict.py", *single, folder=tmp_path, here=True)
    assert_says(said, f"{weights}: a model of tiny takes image alone; leave out --input_depth")
    words = ["--backend", backend.name, "--load_weights_folder", str(weights), "--with_input_depth"]
    with pytest.raises(UserError, match=r"takes image alone; leave out --with_input_depth|not installed"):
        export_onnx.main([*words, "--output", str(tmp_path / "d.onnx")])


def test_the_onnx_file_has_a_second_input(backend, weights, tmp_path):
    try:
        onnx_file.require_packages(backend.name)
    except UserError as error:
        pytest.skip(str(error))
    onnx, path = importlib.import_module("onnx"), tmp_path / "depth.onnx"
    words = [
        "--backend",
        backend.name,
        "--load_weights_folder",
        weights,
        "--output",
        path,
        "--with_input_depth",
    ]
    said = succeeds("export_onnx.py", *words, quiet=False, here=True)
    size = f"{TINY_HEIGHT}, {TINY_WIDTH}"
    assert_says(said, f"image (1, 3, {size}), input_depth (1, 1, {size}) → disparity", "bound 1e-04")
    model = onnx.load(path)
    shapes = {one.name: [d.dim_value for d in one.type.tensor_type.shape.dim] for one in model.graph.input}
    assert shapes == {
        "image": [1, 3, TINY_HEIGHT, TINY_WIDTH],
        "input_depth": [1, 1, TINY_HEIGHT, TINY_WIDTH],
    }
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert_says(properties["input_depth"], "metres, 0 where it is not known")
    # What it computes depends on the depth.
    images = onnx_file.fixed_images(1, TINY_HEIGHT, TINY_WIDTH)
    predictor = backend.module("predictor").Predictor(weights, "cpu")
    alone = predictor.disparity(images)
    nothing = {"input_depth": np.zeros((1, 1, TINY_HEIGHT, TINY_WIDTH), np.float32)}
    content = path.read_bytes()
    assert onnx_file.largest_difference(content, images, alone, nothing) <= onnx_file.BOUND
    some = {"input_depth": onnx_file.fixed_depth(1, TINY_HEIGHT, TINY_WIDTH)}
    assert onnx_file.largest_difference(content, images, alone, some) > 0.01
