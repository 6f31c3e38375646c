"""What a weights folder says of its model: its own options, an official encoder file, or nothing."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import save_options
from core.weights.families import sc_depth
from core.weights.families.base import Network
from core.weights.families.monodepth2 import Decoder, Encoder, PoseCNN, PoseDecoder
from core.weights.folder import OPTIONS_FILE, model_options
from core.weights.layouts import State
from core.weights.safetensors_file import write_safetensors

OFFICIAL = {"height": np.array(320), "width": np.array(1024), "use_stereo": np.array(True)}


def test_options_of_the_training_win_over_the_encoder_file(tmp_path: Path) -> None:
    trained = Monodepth2Options(height=64, width=128, num_layers=34, min_depth=0.5)
    save_options(trained, tmp_path / OPTIONS_FILE)
    assert model_options(tmp_path, {"encoder": OFFICIAL}, {}) == trained


def test_official_folder(tmp_path: Path) -> None:
    options = model_options(tmp_path, {"encoder": OFFICIAL}, {})
    assert (options.height, options.width, options.use_stereo) == (320, 1024, True)
    assert type(options.height) is int and type(options.use_stereo) is bool
    assert (options.num_layers, options.min_depth, options.max_depth) == (18, 0.1, 100)


def test_encoder_file_without_numbers_means_the_defaults(tmp_path: Path) -> None:
    assert (
        model_options(tmp_path, {"encoder": {"encoder.conv1.weight": np.zeros(1)}}, {}) == Monodepth2Options()
    )


def test_overrides_win_where_given(tmp_path: Path) -> None:
    save_options(Monodepth2Options(num_layers=34, max_depth=80), tmp_path / OPTIONS_FILE)
    options = model_options(tmp_path, {}, {"num_layers": 50, "min_depth": 0.2, "max_depth": None})
    assert (options.num_layers, options.min_depth, options.max_depth) == (50, 0.2, 80)


def test_impossible_values(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="min_depth"):
        model_options(tmp_path, {}, {"min_depth": 200.0})
    with pytest.raises(UserError, match="height"):
        model_options(tmp_path, {"encoder": {"height": np.array(33)}}, {})
    with pytest.raises(UserError, match="option height: 1048576 is no multiple of 32 from 64 to 8192"):
        model_options(tmp_path, {"encoder": {"height": np.array(1 << 20)}}, {})
    (tmp_path / OPTIONS_FILE).write_text("hight: 64\n")
    with pytest.raises(UserError, match=r"options\.yaml: unknown option 'hight': did you mean height"):
        model_options(tmp_path, {}, {})


@pytest.mark.parametrize("value", [np.array("tall"), np.zeros(3), np.array(None), np.array(np.nan)])
def test_encoder_file_with_other_things_under_these_names(tmp_path: Path, value: np.ndarray) -> None:
    with pytest.raises(UserError, match="height"):
        model_options(tmp_path, {"encoder": {"height": value}}, {})


# ---- what names and shapes tell ------------------------------------------------------------------------------


def empty(network: Network) -> State:
    """A state of its names and shapes that takes no memory."""
    return {name: np.broadcast_to(np.float32(64), shape) for name, shape in network.shapes.items()}


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ({"encoder": Encoder(50), "depth": Decoder(True)}, {"num_layers": 50}),
        ({"encoder": Encoder(152), "depth": Decoder(True, (2, 0))}, {"num_layers": 152, "scales": [2, 0]}),
        ({"pose_encoder": Encoder(18, 2), "pose": PoseDecoder(False)}, {}),
        (
            {"pose_encoder": Encoder(18, 2), "pose": PoseDecoder(False, poses=1)},
            {"pose_model_input": "all", "frame_ids": [0, 1]},
        ),
        ({"pose_encoder": Encoder(18, 3), "pose": PoseDecoder(False)}, {"pose_model_input": "all"}),
        (
            {"pose_encoder": Encoder(18, 5), "pose": PoseDecoder(False, poses=4)},
            {"pose_model_input": "all", "frame_ids": [0, -1, 1, -2, 2]},
        ),
        ({"pose": PoseDecoder(False, 2, 1)}, {"pose_model_type": "shared"}),
        ({"pose": PoseDecoder(False, 3, 2)}, {"pose_model_type": "shared", "pose_model_input": "all"}),
        ({"pose": PoseCNN(2)}, {"pose_model_type": "posecnn"}),
        ({"pose": PoseCNN(3)}, {"pose_model_type": "posecnn", "pose_model_input": "all"}),
    ],
)
def test_networks_without_options(tmp_path: Path, networks: dict, expected: dict) -> None:
    numbers = {"height": np.array(192), "width": np.array(640), "use_stereo": np.array(False)}
    states = {name: empty(network) for name, network in ({"encoder": Encoder(18)} | networks).items()}
    states["encoder"] |= numbers
    assert model_options(tmp_path, states, {}) == Monodepth2Options(**expected)


def test_pose_networks_are_found_in_the_folder(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "pose.safetensors", empty(PoseCNN(3)))
    options = model_options(tmp_path, {"encoder": OFFICIAL}, {})
    assert (options.pose_model_type, options.pose_model_input) == ("posecnn", "all")
    (tmp_path / "pose.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"pose\.safetensors: no file of weights"):
        model_options(tmp_path, {"encoder": OFFICIAL}, {})
    save_options(Monodepth2Options(), tmp_path / OPTIONS_FILE)  # then nobody asks the file
    assert model_options(tmp_path, {"encoder": OFFICIAL}, {}) == Monodepth2Options()


def test_stereo_without_pose_files_was_trained_on_pairs_alone(tmp_path: Path) -> None:
    assert model_options(tmp_path, {"encoder": OFFICIAL}, {}).frame_ids == [0]
    monocular = OFFICIAL | {"use_stereo": np.array(False)}
    assert model_options(tmp_path, {"encoder": monocular}, {}).frame_ids == [0, -1, 1]


def test_number_of_layers_that_contradicts_the_file(tmp_path: Path) -> None:
    states = {"encoder": empty(Encoder(50))}
    assert model_options(tmp_path, states, {"num_layers": 50}).num_layers == 50
    with pytest.raises(UserError, match="--num_layers 18, but its encoder is a ResNet-50; leave the option"):
        model_options(tmp_path, states, {"num_layers": 18})


def test_another_size_than_that_of_the_training(tmp_path: Path) -> None:
    save_options(Monodepth2Options(height=64, width=128), tmp_path / OPTIONS_FILE)
    assert model_options(tmp_path, {}, {}, {"height": 64, "width": None}).height == 64
    with pytest.raises(UserError, match=r"--width 640: .* was trained with 128; leave the option out"):
        model_options(tmp_path, {}, {}, {"height": 64, "width": 640})


def test_files_that_do_not_say_their_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is taken for it is said, unless it is given."""
    states = {
        rule.file: {name: np.zeros(shape) for name, shape in rule.shapes.items()}
        for rule in (sc_depth.Encoder(18), sc_depth.Depth(bottleneck=False))
    }
    options = model_options(tmp_path, states, {}, {"height": 64})
    assert (options.method, options.height, options.width) == ("sc_depth", 64, 832)
    assert "do not say width; taken for it: --width 832" in capsys.readouterr().err
    assert model_options(tmp_path, states, {}, {"height": 64, "width": 96}).width == 96
    assert capsys.readouterr().err == ""
