"""A release asked for by name: fetched from a server on this machine, loaded by the backend, as a user would."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
import train
from core.files.whole import yaml_text
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options
from core.weights.releases import VARIABLE
from tests.backends.drive import HEIGHT, WIDTH, training, weights_of
from tests.core.weight_files import write_pth
from tests.core.weights_server import Server, running, serve
from tests.scripts import assert_says, run_here

NAME = "mono+stereo_128x64"


@pytest.fixture(scope="module")
def official(backend, trained_whole, tmp_path_factory) -> bytes:
    """The trained networks as an archive of old `.pth` files, as the official ones are."""
    predictor = backend.module("predictor").Predictor(trained_whole, "cpu")
    folder = tmp_path_factory.mktemp("official")
    scalars = {"height": HEIGHT, "width": WIDTH, "use_stereo": True}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("encoder", "depth"):
            state = backend.module("checkpoint").network_state(predictor.method.networks()[name])
            beside = scalars if name == "encoder" else {}
            file = write_pth(folder / f"{name}.pth", state, legacy=True, **beside)
            archive.write(file, f"{NAME}/{file.name}")
            file.unlink()
    return content.getvalue()


@pytest.fixture
def server(official, tmp_path, monkeypatch):
    """Serves it; a folder of weights with a zoo of its own is the scripts' default."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "weights"))
    with running() as server:
        server.files[f"/{NAME.replace('+', '%2B')}.zip"] = official
        write_zoo(tmp_path / "weights", server, official)
        yield server


def write_zoo(folder, server: Server, content: bytes) -> None:
    family = {"kind": "networks", "address": server.url + "/{file}", "licence": "for tests"}
    release = {"family": "test", "file": f"{NAME}.zip", "num_layers": 18, "data": "a drive"}
    release |= {"checksum": f"md5:{hashlib.md5(content).hexdigest()}", "files": ["encoder.pth", "depth.pth"]}
    folder.mkdir()
    text = yaml_text({"families": {"test": family}, "releases": {NAME: release}})
    (folder / "zoo.yml").write_text(text)


@pytest.fixture
def photo(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (90, 200, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    return folder / "a.png"


def test_prediction_by_name(backend, trained_whole, server, official, photo, tmp_path, capsys):
    server.answers = [serve(cut=len(official) // 2)]
    words = ["--backend", backend.name, "--device", "cpu", "--image_path", photo, "--output"]
    done = run_here("predict.py", *words, tmp_path / "named", "--model_name", NAME)
    assert done.returncode == 0, done.stderr
    assert_says(done.stderr, f"{NAME}: fetching {server.url}", "licence: for tests")
    assert len(server.requests) == 2 and server.sent == len(official)
    # The second time nothing is fetched and nothing said, and the folder's own name is as good.
    for output, folder in (("again", NAME), ("folder", trained_whole)):
        more = [tmp_path / output, "--load_weights_folder", folder]
        predict.main([str(word) for word in (*words, *more)])
    printed = capsys.readouterr()
    assert "fetching" not in printed.err and len(server.requests) == 2
    expected = np.load(tmp_path / "folder" / "a_disp.npy")
    for output in ("named", "again"):
        np.testing.assert_array_equal(np.load(tmp_path / output / "a_disp.npy"), expected)


def test_evaluation_and_training_by_name(backend, drive, server, runs, tmp_path, capsys):
    where = ["--data_path", drive, "--eval_split", drive / "splits", "--load_weights_folder", NAME]
    rest = ["--backend", backend.name, "--device", "cpu", "--num_workers", 1, "--eval_stereo"]
    evaluate_depth.main([str(word) for word in (*where, *rest, "--save_pred_disps")])
    assert_says(capsys.readouterr().out, "2 images", "abs_rel")
    assert (tmp_path / "weights" / NAME / "disps_splits_split.npy").is_file()
    more = ["--load_weights_folder", NAME, "--num_epochs", 0]
    train.main(training(backend.name, drive, runs, "run", "stereo", *more))
    assert len(server.requests) == 1
    options = load_options(
        Monodepth2Options, weights_of(runs, "run").with_name("weights_initial") / "options.yaml"
    )
    assert options.load_weights_folder == str(tmp_path / "weights" / NAME)
