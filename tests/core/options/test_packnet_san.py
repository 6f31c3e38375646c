"""Options of PackNet-SAN: what they stand for, and what cannot be."""

import pytest

from core.errors import UserError
from core.options.methods.packnet_san import PackNetSANOptions
from core.options.needs import Listing
from core.options.parsing import parse_method
from tests.core.options.test_configs import ROOT, commands, parsed

FOLDER = ROOT / "configs" / "packnet_san"


def parse(*argv):
    return parse_method(["--method", "packnet_san", *argv])


def test_the_published_recipe_is_the_default():
    options = parse()
    assert isinstance(options, PackNetSANOptions) and options.describe().startswith(
        "packnet_san, packnet_san01 1A, supervision semi, 640x192, batch 1"
    )
    assert options.widths == ((32, 32, 64, 128, 256, 512), 4) and options.dropout == 0.5
    assert (options.supervised_method, options.supervised_num_scales) == ("sparse-silog", 1)
    assert options.supervised_share == 1 and not options.has_views and options.metres_per_unit == 1
    assert options.rates(0, 10) == [1e-4] and options.scaling == "unit"
    assert options.needs("train").frames == (0,) and options.needs("train").depth
    expected = Listing(
        "kitti", "kitti_data", "eigen_zhou", input_depth="usual", calibration=True, drop_incomplete=True
    )
    assert options.listings("train") == [expected]
    assert [one.input_depth for one in options.listings("val")] == [None]
    assert parse("--width_divisor", "2").widths == ((16, 16, 32, 64, 128, 256), 2)
    assert parse("--width_divisor", "4").widths == ((16, 16, 16, 32, 64, 128), 1)


def test_views_beside_measured_depth():
    options = parse("--supervised_loss_weight", "0.9")
    assert options.has_views and options.needs("train").frames == (0, -1, 1)
    assert options.rates(0, 10) == [1e-4, 1e-4]


def test_terms_that_jump():
    assert parse().jumping_terms == ()
    assert parse("--supervised_method", "sparse-berhu").jumping_terms == ("supervised", "supervised_rgbd")


def test_which_depth_the_network_sees(tmp_path):
    options = parse(
        *("--train_split", "a", "b", "--train_dataset", "kitti", "scenes"),
        *("--input_depth_type", "velodyne", "none", "--depth_type", "groundtruth", "ddad"),
        *("--input_depth_points", "0.1", "--validation_input_depth_type", "usual"),
        *("--least_input_depth_points", "0.02"),
        *("--test_input_depth_resize", "nearest"),
    )
    found = [(one.input_depth, one.depth) for one in options.listings("train")]
    assert found == [("proj_depth/velodyne", "proj_depth/groundtruth"), ("usual", "ddad")]
    assert [one.input_depth for one in options.listings("val")] == ["usual"]
    train, validation = options.preparation("train"), options.preparation("val")
    assert (train.input_depth, validation.input_depth) == ("points", "nearest")
    assert train.input_depth_points == validation.input_depth_points == 0.1
    assert train.least_input_depth_points == 0.02


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--supervision", "none"], "supervision"),
        (["--depth_network", "packnet01"], "depth_network"),
        (["--version", "1B"], "use --version 1A"),
        (["--width_divisor", "8"], "none of"),
        (["--weight_rgbd", "-1"], "weight_rgbd: must not be negative"),
        (["--input_depth_points", "0"], "input_depth_points: 0.0 is not above 0"),
        (
            ["--input_depth_points", "0.5", "--least_input_depth_points", "0.6"],
            "least_input_depth_points: 0.6 is not between 0 and input_depth_points, 0.5",
        ),
        (["--input_depth_type", "a", "b"], "input_depth_type: 2 words for 1 lists"),
        (["--validation_input_depth_type", "a", "b"], "validation_input_depth_type: 2 words for 1 lists"),
        (["--supervised_method", "silog"], "use sparse-silog"),
    ],
)
def test_what_cannot_be(argv, message):
    with pytest.raises(UserError, match=message):
        parse(*argv)


# ---- configs/packnet_san ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_recipes(path):
    options = parse_method(["--config", str(path)])
    assert options.method == "packnet_san" and options.supervised_share == 1
    assert [one.depth for one in options.listings("train")] == ["proj_depth/groundtruth"]
    if path.stem == "kitti":
        defaults = PackNetSANOptions()
        for name in ("dropout", "learning_rate", "batch_size", "supervised_method", "version"):
            assert getattr(options, name) == getattr(defaults, name)
        assert options.preparation("val").border_crop == (-352, 0, 0.5, 1216)
        assert not options.preparation("val").cut_truth and options.protocol == "packnet_top_center"


def test_on_kitti(tmp_path, monkeypatch):
    (tmp_path / "kitti").mkdir()
    variables = {"DATA_PATH": "kitti", "BACKEND": "paddle", "PNG": "1"}
    recorded = commands(tmp_path, script=FOLDER / "train.sh", **variables)
    assert [command[0] for command in recorded] == ["export_gt_depth.py", "train.py", "evaluate_depth.py"]
    export, training, evaluation = (parsed(command, monkeypatch) for command in recorded)
    assert export.split == evaluation.split == "eigen_benchmark"
    assert (training.height, training.width, training.png) == (352, 1216, True)
    assert (evaluation.chosen_protocol.rule.interpolation, evaluation.input_depth) == (
        "top_center",
        "velodyne",
    )
    assert evaluation.load_weights_folder.endswith(f"runs/{training.model_name}/models/weights_best")


@pytest.mark.parametrize("arguments", [[], ["--long"]])
def test_on_the_street(tmp_path, monkeypatch, arguments):
    """Three rows at the end."""
    recorded = commands(tmp_path, *arguments, script=FOLDER / "train.sh", BACKEND="torch")
    steps = ["render_drive.py", "export_gt_depth.py", *2 * ["train.py"], *2 * ["evaluate_depth.py"]]
    assert [command[0] for command in recorded] == [*steps, "report_depth.py", "evaluate_depth.py"]
    _, _, initial, training, _, evaluated, report, rows = (
        parsed(command, monkeypatch) for command in recorded
    )
    assert initial.num_epochs == 0 and (training.height, training.width) == (64, 192)
    last = f"{training.model_name}/models/weights_{training.num_epochs - 1}"
    assert evaluated.load_weights_folder.endswith(last) and rows.load_weights_folder.endswith(last)
    assert evaluated.load_weights_folder in report.disparities
    assert rows.input_depth_points == [0.1, 0.3, 1.0] and rows.output != evaluated.output
