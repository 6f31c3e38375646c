"""The YAML of PackNet's and All4Depth's users: every published recipe, the defaults, and what cannot be."""

import copy
import re
import shlex
from typing import Any

import pytest
import yaml

import train
from core.errors import UserError
from core.options import DATASETS, OPTIONS, EvaluationOptions, PredictionOptions
from core.options.choices import with_choices
from core.options.methods.packnet import PackNetOptions
from core.options.methods.packnet_tree import DEPTH_NETWORKS, METRICS, RULES, TREE
from core.options.needs import Listing
from core.options.option_files import Translation
from core.options.parsing import parse, parse_method
from core.options.protocols import PROTOCOLS
from tests.conftest import ROOT

KITTI = """
name: 'my_run'
checkpoint:
    filepath: '/data/experiments'
    monitor: 'abs_rel_pp_gt'
    mode: 'auto'
model:
    name: 'SelfSupModel'
    optimizer:
        name: 'Adam'
        depth:
            lr: 0.0002
        pose:
            lr: 2e-4
    scheduler:
        name: 'StepLR'
        step_size: 30
        gamma: 0.5
    depth_net:
        name: 'PackNet01'
        version: '1A'
    pose_net:
        name: 'PoseNet'
        version: ''
    params:
        crop: 'garg'
        min_depth: 0.0
        max_depth: 80.0
datasets:
    augmentation:
        image_shape: (192, 640)
    train:
        batch_size: 4
        dataset: ['KITTI']
        path: ['/data/KITTI_raw']
        split: ['data_splits/eigen_zhou_files.txt']
        depth_type: ['velodyne']
        repeat: [2]
    validation:
        dataset: ['KITTI']
        path: ['/data/KITTI_raw']
        split: ['data_splits/eigen_val_files.txt',
                'data_splits/eigen_test_files.txt']
        depth_type: ['velodyne']
    test:
        dataset: ['KITTI']
        path: ['/data/KITTI_raw']
        split: ['data_splits/eigen_test_files.txt']
        depth_type: ['velodyne']
"""


def kitti(**changed: Any) -> dict[str, Any]:
    """The recipe, with values by their place: `model__name="VelSupModel"`; `...` takes a key out."""
    tree = yaml.safe_load(KITTI)
    for place, value in changed.items():
        *sections, key = place.split("__")
        section = tree
        for name in sections:
            section = section.setdefault(name, {})
        if value is ...:
            del section[key]
        else:
            section[key] = value
    return tree


def ddad(**changed: Any) -> dict[str, Any]:
    """The recipe of DDAD."""
    one = {
        "dataset": ["DGP"],
        "path": ["/data/ddad.json"],
        "depth_type": ["lidar"],
        "cameras": [["camera_01"]],
    }
    tree = kitti(
        datasets__augmentation__image_shape="(384, 640)",
        model__optimizer={"depth": {"lr": 9e-5}, "pose": {"lr": 9e-5}},
        model__params={"crop": "", "min_depth": 0.0, "max_depth": 200.0},
        datasets__train={"batch_size": 2, "split": ["train"], "repeat": [5], **copy.deepcopy(one)},
        datasets__validation={"split": ["val"], **copy.deepcopy(one)},
        datasets__test={"split": ["val"], **copy.deepcopy(one)},
    )
    for place, value in changed.items():
        *sections, key = place.split("__")
        section = tree
        for name in sections:
            section = section[name]
        section[key] = value
    return tree


def translated(tree: dict[str, Any]) -> Translation:
    found = PackNetOptions.translation(tree)
    assert found is not None
    return found


def options(tmp_path, tree, *argv):
    path = tmp_path / "train.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return parse_method(["--config", str(path), *argv])


# ---- the published recipes ----------------------------------------------------------------------------------


def test_kitti_self_supervised(tmp_path):
    found = options(tmp_path, KITTI)
    assert type(found) is PackNetOptions
    assert (found.height, found.width, found.batch_size, found.num_epochs) == (192, 640, 4, 50)
    assert (found.depth_network, found.version, found.pose_network) == ("packnet01", "1A", "pose_net")
    assert (found.learning_rate, found.pose_learning_rate, found.seed) == (2e-4, None, 42)
    assert found.rates(30, 1) == [1e-4, 1e-4] and found.supervision == "none"
    assert (found.protocol, found.num_workers, found.frame_ids) == ("packnet", 16, [0, -1, 1])
    assert (found.log_dir, found.model_name) == ("/data/experiments", "my_run")
    depth = "proj_depth/velodyne"
    one = Listing("kitti", "/data/KITTI_raw", "", depth=depth, calibration=True, drop_incomplete=True)
    train_lists = [(row.split, row.repeat, row.depth) for row in found.listings("train")]
    assert train_lists == [("data_splits/eigen_zhou_files.txt", 2, depth)]
    validated = [row.split for row in found.listings("val")]
    assert validated == ["data_splits/eigen_val_files.txt", "data_splits/eigen_test_files.txt"]
    assert {(row.dataset, row.path, row.calibration) for row in found.listings("val")} == {
        (one.dataset, one.path, one.calibration)
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("VelSupModel", ("velocity", 0.1)),
        ("SemiSupModel", ("semi", 0.9)),
        ("SupModel", ("full", 0.9)),
        ("SemiSupCompletionModel", ("semi", 0.9)),
    ],
)
def test_the_supervised_variants(tmp_path, name, expected):
    tree = kitti(model__name=name, datasets__train__depth_type=["groundtruth"])
    found = options(tmp_path, tree)
    weight = found.velocity_loss_weight if name == "VelSupModel" else found.supervised_loss_weight
    assert (found.supervision, weight) == expected
    assert found.listings("train")[0].depth == "proj_depth/groundtruth"
    assert found.metres_per_unit == 1


def test_semi_supervised_by_depth_alone_takes_no_neighbours(tmp_path):
    loss = {"supervised_loss_weight": 1.0, "supervised_method": "sparse-silog", "supervised_num_scales": 1}
    tree = kitti(model__name="SemiSupModel", model__loss=loss)
    tree["datasets"]["train"] |= {"back_context": 0, "forward_context": 0}
    del tree["model"]["pose_net"]
    found = options(tmp_path, tree)
    assert found.supervision == "full" and found.needs("train").frames == (0,)
    assert (found.supervised_method, found.supervised_num_scales) == ("sparse-silog", 1)


def test_ddad():
    found = translated(ddad())
    expected = {
        **{"dataset": "ddad", "data_path": "/data/ddad.json", "cameras": ["camera_01"]},
        **{"train_split": ["train"], "validation_split": ["val"], "repeat": [5], "batch_size": 2},
        **{"depth_type": ["lidar"], "height": 384, "width": 640, "learning_rate": 9e-5},
    }
    assert expected.items() <= found.values.items()
    assert not {"train_path", "train_dataset", "train_cameras"} & found.values.keys()


@pytest.mark.skipif("ddad" not in DATASETS, reason="without its reader")
def test_ddad_is_trained(tmp_path):
    found = options(tmp_path, ddad())
    assert (found.protocol, found.batch_size) == ("packnet_ddad", 2)
    assert [(row.dataset, row.camera, row.repeat) for row in found.listings("train")] == [
        ("ddad", "camera_01", 5)
    ]


def test_several_cameras():
    """A batch of theirs is a moment, seen by all."""
    names = ["camera_01", "camera_05", "camera_06"]
    one = [names]
    both = translated(ddad(datasets__train__cameras=one, datasets__validation__cameras=one))
    assert (both.values["cameras"], both.values["batch_size"]) == (names, 6)
    other = translated(ddad(datasets__train__cameras=one)).values
    assert (other["train_cameras"], other["validation_cameras"]) == ([",".join(names)], ["camera_01"])
    assert other["batch_size"] == 6 and "cameras" not in other


SAN = {
    "model": {
        "name": "SemiSupCompletionModel",
        "optimizer": {"name": "Adam", "depth": {"lr": 1e-4}},
        "loss": {
            **{"supervised_method": "sparse-silog", "supervised_num_scales": 1},
            "supervised_loss_weight": 1.0,
        },
        "depth_net": {"name": "PackNetSAN01", "version": "1A", "dropout": 0.5},
        "params": {"crop": "garg", "max_depth": 80, "scale_output": "top-center"},
    },
    "datasets": {
        "augmentation": {
            "crop_train_borders": "[-352, 0, 0.5, 1216]",
            "crop_eval_borders": [-352, 0, 0.5, 1216],
        },
        "train": {
            **{"batch_size": 1, "dataset": ["KITTI"], "path": ["/data/KITTI_raw"], "split": ["train.txt"]},
            **{"depth_type": ["groundtruth"], "input_depth_type": ["velodyne"]},
        },
        "validation": {
            **{"dataset": ["KITTI"], "path": ["/data/KITTI_raw"], "split": ["val.txt"]},
            **{"depth_type": ["groundtruth"], "input_depth_type": ["velodyne"]},
        },
    },
}


def test_completion_on_kitti():
    """Its size is that of the crop."""
    found = translated(SAN)
    expected = {
        **{"method": "packnet_san", "depth_network": "packnet_san01", "dropout": 0.5, "version": "1A"},
        **{"supervision": "full", "supervised_method": "sparse-silog", "supervised_num_scales": 1},
        **{"height": 352, "width": 1216, "crop_train_borders": [-352, 0, 0.5, 1216], "learning_rate": 1e-4},
        **{"input_depth_type": ["velodyne"], "depth_type": ["groundtruth"], "protocol": "packnet_top_center"},
        **{"batch_size": 1, "crop_eval_borders": [-352, 0, 0.5, 1216]},
        "validation_input_depth_type": ["velodyne"],
    }
    assert expected.items() <= found.values.items()
    assert found.notes == ()
    forgotten = copy.deepcopy(SAN)
    del forgotten["datasets"]["train"]["input_depth_type"]
    assert "input_depth_type: is empty" in translated(forgotten).notes[0]


@pytest.mark.skipif("packnet_san" not in OPTIONS, reason="without its method")
def test_completion_is_trained(tmp_path):
    found = options(tmp_path, SAN)
    assert type(found) is OPTIONS["packnet_san"]
    assert found.input_depth_type == ["velodyne"] and found.supervised_share == 1


# ---- what there is no file for -------------------------------------------------------------------------------


def test_the_command_line_wins_and_flat_files_after(tmp_path):
    flat = tmp_path / "mine.yml"
    flat.write_text("backend: paddle\nbatch_size: 6\n")
    argv = ["--config", str(flat), "--data_path", "here", "--learning_rate", "1e-5", "--model_name", "other"]
    found = options(tmp_path, KITTI, *argv)
    assert (found.backend, found.batch_size, found.model_name) == ("paddle", 6, "other")
    assert {row.path for row in [*found.listings("train"), *found.listings("val")]} == {"here"}
    assert found.rates(0, 1) == [1e-5, 1e-5]


def test_print_config_reads_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        options(tmp_path, kitti(model__loss={"progressive_scaling": 0.2}), "--print_config")
    text = capsys.readouterr().out
    assert ended.value.code == 0 and text.startswith("# ") and "progressive_scaling: works here" in text
    (tmp_path / "flat.yml").write_text(text)
    again = parse_method(["--config", str(tmp_path / "flat.yml")])
    assert again == options(tmp_path, kitti(model__loss={"progressive_scaling": 0.2}))
    assert "progressive_scaling: works here" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main(["--config", str(tmp_path / "train.yaml"), "--print_config"])


def test_their_defaults(tmp_path):
    """Not ours: a step of 10 epochs, batches of 8; our options have the recipe's."""
    data = kitti()["datasets"]
    del data["train"]["batch_size"], data["train"]["repeat"]
    tree = {"model": {"name": "SelfSupModel", "depth_net": {"name": "PackNet01"}}, "datasets": data}
    found = options(tmp_path, tree)
    assert (found.batch_size, found.scheduler_step_size, found.seed, found.num_workers) == (8, 10, 42, 16)
    assert (found.version, found.repeat, found.log_dir) == ("1A", [1], "runs")
    loss = TREE["model"]["loss"]
    same = [name for name in loss if hasattr(found, name)]
    assert len(same) == 14 and all(getattr(found, name) == loss[name] for name in same)


def test_columns_broadcast():
    train_set = {
        **{"dataset": ["KITTI", "Image"], "path": ["/a", "/b"], "split": ["x.txt", "{:09}"]},
        **{"depth_type": [""], "repeat": [2], "cameras": [[]]},
    }
    found = translated(kitti(datasets__train=train_set)).values
    assert found["train_dataset"] == ["kitti", "folder"] and found["train_split"] == ["x.txt", "{:09}"]
    assert found["validation_dataset"] == ["kitti", "kitti"] and found["repeat"] == [2, 2]
    assert found["train_path"] == ["/a", "/b"] and found["validation_path"] == ["/data/KITTI_raw"] * 2
    assert found["depth_type"] is None and found["dataset"] == "kitti"


def test_a_list_in_the_data_sets_folder(tmp_path):
    (tmp_path / "data_splits").mkdir()
    (tmp_path / "data_splits" / "eigen_zhou_files.txt").touch()
    found = translated(kitti(datasets__train__path=[str(tmp_path)])).values
    assert found["train_split"] == [str(tmp_path / "data_splits" / "eigen_zhou_files.txt")]
    assert found["validation_split"][0] == "data_splits/eigen_val_files.txt"


def test_resnets():
    tree = kitti(
        model__depth_net={"name": "DepthResNet", "version": "18pt"},
        model__pose_net={"name": "PoseResNet", "version": "50pt"},
    )
    found = translated(tree).values
    expected = {
        "depth_network": "depth_resnet18",
        "pose_network": "pose_resnet50",
        "weights_init": "pretrained",
    }
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("monitor", "index", "first"),
    [
        ("loss", 0, "eigen_val_files"),
        ("abs_rel", 1, "eigen_test_files"),
        ("KITTI_raw-eigen_test_files-velodyne-abs_rel_pp_gt", 0, "eigen_test_files"),
    ],
)
def test_the_list_that_decides(monitor, index, first):
    tree = kitti(checkpoint__monitor=monitor, checkpoint__monitor_index=index)
    assert first in translated(tree).values["validation_split"][0]


@pytest.mark.parametrize(
    ("place", "value", "note"),
    [
        ("checkpoint__monitor", "a1", "the least abs_rel"),
        ("checkpoint__monitor", "elsewhere-x-abs_rel", "names none of the validation lists"),
        ("model__loss__disp_norm", True, "had no effect"),
        ("save__folder", "/out", "training writes no predictions"),
        ("wandb", {"dry_run": False, "name": "run"}, "nothing is sent without --wandb_send"),
        ("arch__validate_first", True, "--dry_run"),
        ("model__params__max_depth", 60, "--protocol packnet"),
        ("datasets__train__input_depth_type", ["velodyne"], "sees no depth"),
    ],
)
def test_what_its_user_is_told(place, value, note):
    notes = translated(kitti(**{place: value})).notes
    assert len(notes) == 1 and note in notes[0]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("modle", {}, "modle: unknown key; did you mean model?"),
        ("model__loss__ssim_weight", 0.5, "model.loss.ssim_weight: unknown key; did you mean model.loss."),
        ("model__loss__weight_rgbd", 1.0, "model.loss.weight_rgbd: unknown key"),
        ("datasets__train__num_worker", 4, "did you mean datasets.train.num_workers?"),
        ("datasets__validation__repeat", [2], "datasets.validation.repeat: unknown key"),
        (
            "backend",
            "paddle",
            "backend: unknown key; an option of ours stands on the command line: --backend",
        ),
        ("model__optimizer__name", "SGD", "model.optimizer.name: 'SGD' is not here; Adam is"),
        ("model__scheduler__name", "CosineAnnealingLR", "StepLR is"),
        ("model__name", "OtherModel", "model.name: 'OtherModel' is none of SelfSupModel"),
        ("model__depth_net__name", "Net", "model.depth_net.name: 'Net' is none of PackNet01"),
        ("model__pose_net__name", "Net", "model.pose_net.name: 'Net' is none of PoseNet"),
        ("model__pose_net", {"name": "PoseResNet", "version": "34pt"}, "model.pose_net.version: '34pt'"),
        ("model__loss__rotation_mode", "quaternion", "model.loss.rotation_mode"),
        ("model__loss__padding_mode", "reflection", "model.loss.padding_mode: 'reflection' is none of"),
        ("model__loss__C1", 0.5, "usual constants"),
        ("model__loss__num_scales", 2.5, "model.loss.num_scales: expected a whole number, not 2.5"),
        ("model__loss__automask_loss", 1, "model.loss.automask_loss: expected True or False, not 1"),
        ("model__loss", [1], "model.loss: expected lines `key: value`"),
        ("model__depth_net__version", {"a": 1}, "model.depth_net.version: expected text, not a dict"),
        ("datasets__augmentation__image_shape", "192", "image_shape: expected a list, not '192'"),
        ("datasets__augmentation__image_shape", ..., "image_shape: expected (height, width)"),
        ("datasets__augmentation__jittering", ["a"], "jittering: expected numbers"),
        ("datasets__train__split", [], "datasets.train.split: names no list"),
        ("datasets__train__path", ["a", "b"], "datasets.train.path: 2 values; give one for all lists, or 1"),
        ("datasets__train__dataset", ["NYU"], "datasets.train.dataset: 'NYU' is none of KITTI"),
        ("datasets__train__dataset", ["DGP"], "datasets.train.cameras: expected a list of names"),
        ("datasets__train__repeat", ["x"], "datasets.train.repeat: expected whole numbers"),
        ("datasets__train__back_context", -1, "must not be negative"),
        ("datasets__train__back_context", 9**9, "more than 31"),
        ("checkpoint__monitor_index", 7, "checkpoint.monitor_index: there is no validation list 7"),
        ("checkpoint__mode", "most", "checkpoint.mode"),
    ],
)
def test_what_cannot_be(tmp_path, place, value, message):
    with pytest.raises(UserError) as error:
        options(tmp_path, kitti(**{place: value}))
    assert str(error.value).startswith(f"{tmp_path / 'train.yaml'}: ") and message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_checkpoints_go_where_their_file_says(tmp_path):
    assert options(tmp_path, kitti()).s3_path is None
    section = {"s3_path": "s3://bucket/runs", "s3_frequency": 5, "s3_url": "https://page"}
    found = options(tmp_path, kitti(checkpoint=section))
    assert (found.s3_path, found.s3_frequency, found.s3_url) == ("s3://bucket/runs", 5, None)
    assert any(
        "checkpoint.s3_url: has no effect" in note for note in translated(kitti(checkpoint=section)).notes
    )


def test_weights_and_biases_is_asked_twice(tmp_path):
    """By their file, and by an option that no file of theirs has."""
    for section in ({"dry_run": True, "name": "run"}, {"dry_run": False, "name": ""}, None):
        assert translated(kitti(wandb=section)).notes == ()
        assert not options(tmp_path, kitti(wandb=section)).wandb
    asked = {"dry_run": False, "name": "run", "project": "depth", "entity": "us", "tags": ["a"]}
    found = options(tmp_path, kitti(wandb=asked))
    assert (found.wandb, found.wandb_send, found.wandb_project) == (True, False, "depth")
    assert options(tmp_path, kitti(wandb=asked), "--wandb_send").wandb_send


def test_other_files_and_other_scripts(tmp_path):
    assert PackNetOptions.translation({"height": 192}) is None
    assert PackNetOptions.translation({"model": "x", "height": {}}) is None
    (tmp_path / "nested.yml").write_text("height: {a: 1}\n")
    with pytest.raises(UserError, match="height: expected a whole number, not a dict"):
        parse_method(["--config", str(tmp_path / "nested.yml")])
    with pytest.raises(UserError, match="is for --method packnet; leave out --method sc_depth"):
        options(tmp_path, KITTI, "--method", "sc_depth")
    with pytest.raises(UserError, match=r"train\.yaml: .*for train\.py"):
        parse(EvaluationOptions, ["--config", str(tmp_path / "train.yaml")])


def test_the_tables_name_what_there_is():
    networks = {network for method, network in DEPTH_NETWORKS.values() if method == "packnet"}
    known = PackNetOptions.__dataclass_fields__["depth_network"].metadata["choices"]
    assert all(any(choice.startswith(network) for choice in known) for network in networks)
    assert set(RULES.values()) - {"packnet_ddad"} <= set(PROTOCOLS) and len(METRICS) == 7


# ---- what the READMEs say -----------------------------------------------------------------------------------

SCRIPTS = {"evaluate_depth.py": EvaluationOptions, "predict.py": with_choices(PredictionOptions)}
READMES = ["README.md", "README.zh-CN.md"]


def commands(name: str) -> list[str]:
    """Our lines of the section that translates theirs."""
    text = (ROOT / "configs" / "packnet" / name).read_text(encoding="utf-8")
    section = text.partition("\n## From " if name == "README.md" else "\n## 从 ")[2].partition("\n## ")[0]
    return [
        line for line in section.splitlines() if ".py " in line and line.startswith((".venv", "torchrun"))
    ]


@pytest.mark.parametrize("name", READMES)
def test_the_commands_of_the_readmes(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train_kitti.yaml").write_text(KITTI)
    assert len(commands(name)) == 13 and commands(name) == commands(READMES[0])
    for line in commands(name):
        script, _, rest = line.partition(".py ")
        argv, script = shlex.split(rest), script.split()[-1] + ".py"
        if "ddad" in argv and "ddad" not in DATASETS:
            continue
        assert (ROOT / script).is_file()
        if "--print_config" in argv:
            with pytest.raises(SystemExit):
                parse_method(argv)
        elif script == "train.py":
            found = parse_method(argv)
            assert found.method == "packnet" and (found.start_epoch == -1) == ("last.ckpt" in argv)
        else:
            parse(SCRIPTS[script], argv)


@pytest.mark.parametrize("name", READMES)
def test_every_section_of_the_tree_is_explained(name):
    """Every section, and every option in the table is one."""
    text = (ROOT / "configs" / "packnet" / name).read_text(encoding="utf-8")
    section = text.partition("\n## From " if name == "README.md" else "\n## 从 ")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    assert all(any(key in line for line in table) for key in TREE)
    options = {field for owner in (PackNetOptions, PredictionOptions) for field in owner.__dataclass_fields__}
    named = {word for line in table for word in re.findall(r"--(\w+)", line)}
    assert named - options <= {"cameras"} and len(named) > 25
