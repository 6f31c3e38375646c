"""The recipes: every YAML file is understood, and their scripts call ours with options they know."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from core.options import EvaluationOptions, ExportOptions, HintOptions, ReportOptions
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse, parse_method
from core.rendering.options import RenderOptions

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "configs" / "monodepthv2"
SCRIPTS = {
    "evaluate_depth.py": EvaluationOptions,
    "export_gt_depth.py": ExportOptions,
    "precompute_depth_hints.py": HintOptions,
    "render_drive.py": RenderOptions,
    "report_depth.py": ReportOptions,
}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yml")), ids=lambda path: path.name)
def test_configs_are_valid(path):
    parse(Monodepth2Options, ["--config", str(path)])


RECIPES = {path.stem: path for path in sorted((FOLDER / "recipes").glob("*.yml"))}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_hold_what_differs_from_the_defaults(name):
    content = yaml.safe_load(RECIPES[name].read_text())
    assert content.pop("model_name") == name
    options = parse(Monodepth2Options, ["--config", str(RECIPES[name])])
    assert [key for key in content if getattr(options, key) == getattr(Monodepth2Options(), key)] == []
    assert f"{options.width}x{options.height}" in name
    assert options.use_stereo == ("stereo" in name) and options.frame_ids == (
        [0] if name.startswith("stereo") else [0, -1, 1]
    )
    assert (options.weights_init, options.num_epochs == 30) == (
        ("scratch", True) if "_no_pt_" in name else ("pretrained", False)
    )
    if "1024x320" in name:
        start = name.replace("1024x320", "640x192")
        assert start in RECIPES and options.load_weights_folder == f"runs/{start}/models/weights_9"
        assert (options.num_epochs, options.learning_rate) == (5, 1e-5)


def test_every_published_model_has_a_recipe():
    """Those whose weights are published, and the ablations of the paper."""
    families, pairs = ("mono", "stereo", "mono+stereo"), ("640x192", "1024x320", "no_pt_640x192")
    expected = {f"{family}_{pair}" for family in families for pair in pairs}
    expected |= {f"{family}_odom_640x192" for family in ("mono", "mono+stereo")}
    expected |= {"mono_resnet50_640x192", "mono_resnet50_no_pt_640x192", "mono_416x128"}
    ablations = ("baseline", "without_minimum", "without_automasking", "v1_multiscale", "predictive_mask")
    expected |= {f"mono_{ablation}_640x192" for ablation in ablations}
    assert set(RECIPES) == expected


def commands(
    tmp_path: Path, *arguments: str, script: Path = FOLDER / "mdp.sh", **variables: str
) -> list[list[str]]:
    """The commands of a recipe's script, recorded by a stand-in for the interpreter; `parsed` reads one."""
    log = tmp_path / "commands"
    log.touch()
    stand_in = tmp_path / "python"
    stand_in.write_text(f'#!/usr/bin/env bash\nprintf "%q " "$@" >>{log}\necho >>{log}\n')
    stand_in.chmod(0o755)
    result = subprocess.run(
        ["bash", str(script), *arguments],
        env={"PATH": os.environ["PATH"], "TOOLBOX_PYTHON": str(stand_in), **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [shlex.split(line) for line in log.read_text().splitlines()]


def parsed(command: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    if command[0] == "train.py":
        return parse_method(command[1:])
    return parse(SCRIPTS[command[0]], command[1:])


@pytest.mark.parametrize("mode", ["mono", "stereo", "mono+stereo"])
def test_kitti_recipe(tmp_path, monkeypatch, mode):
    (tmp_path / "kitti").mkdir()
    fetched, *recorded = commands(tmp_path, DATA_PATH="kitti", MODE=mode, BACKEND="paddle", PNG="1")
    assert fetched == [
        "-m",
        "core.weights.zoo",
        "resnet18",
    ]  # first: a network that is down should not cost hours
    steps = ["export_gt_depth.py", "train.py", "train.py", "evaluate_depth.py", "evaluate_depth.py"]
    assert [command[0] for command in recorded] == steps
    export, low, high, *evaluations = (parsed(command, monkeypatch) for command in recorded)
    assert export.split == "eigen"
    assert (low.height, low.width, low.batch_size, low.num_epochs, low.learning_rate) == (
        192,
        640,
        12,
        20,
        1e-4,
    )
    assert (high.height, high.width, high.num_epochs, high.learning_rate) == (320, 1024, 5, 1e-5)
    assert high.load_weights_folder.endswith(f"runs/mdp_paddle_{mode}_640x192/models/weights_9")
    for options in (low, high):
        assert options.use_stereo == (mode != "mono") and options.frame_ids == (
            [0] if mode == "stereo" else [0, -1, 1]
        )
        assert options.split == ("eigen_full" if mode == "stereo" else "eigen_zhou")
        assert options.png and options.backend == "paddle" and options.weights_init == "pretrained"
    for options in evaluations:
        assert options.eval_mono == (mode == "mono") and options.png and options.eval_split == "eigen"
    assert evaluations[0].load_weights_folder.endswith("640x192/models/weights_19")
    assert evaluations[1].load_weights_folder.endswith("1024x320/models/weights_4")


@pytest.mark.parametrize("script", ["monodepthv2/mdp.sh", "sc_depth/train.sh", "packnet/train.sh"])
def test_a_script_again_goes_on_with_the_runs_that_are_there(tmp_path, script):
    """On the street: what has begun is resumed, which leaves what is finished as it is."""
    logs = tmp_path / "logs"

    def trainings():
        recorded = commands(tmp_path, script=ROOT / "configs" / script, LOG_DIR=str(logs))
        return [words for words in recorded if words[0] == "train.py"]

    first = trainings()
    names = [words[words.index("--model_name") + 1] for words in first]
    assert names and not any("--resume" in words or "--overwrite" in words for words in first)
    (tmp_path / "commands").unlink()
    (logs / names[0]).mkdir(parents=True)
    (logs / names[0] / "run.json").touch()
    again = trainings()
    assert len(again) == len(first) and ["--resume" in words for words in again] == [
        name == names[0] for name in names
    ]


@pytest.mark.parametrize("arguments", [[], ["--long"]])
@pytest.mark.parametrize("backend", ["torch", "paddle"])
def test_demo(tmp_path, monkeypatch, backend, arguments):
    recorded = commands(tmp_path, *arguments, BACKEND=backend)
    steps = [
        "render_drive.py",
        "export_gt_depth.py",
        *3 * ["train.py"],
        *3 * ["evaluate_depth.py"],
        "report_depth.py",
    ]
    assert [command[0] for command in recorded] == steps
    _, _, initial, low, high, *evaluations, report = (parsed(command, monkeypatch) for command in recorded)
    assert initial.num_epochs == 0 and low.num_epochs > high.num_epochs > 0
    last = low.num_epochs - 1
    assert high.load_weights_folder.endswith(f"{low.model_name}/models/weights_{last}")
    assert (high.height, high.width) == (128, 416) and (low.height, low.width) == (96, 320)
    assert evaluations[1].load_weights_folder == high.load_weights_folder
    assert evaluations[2].save_pred_disps and evaluations[2].load_weights_folder in report.disparities
    assert [entry.partition("=")[2] for entry in report.metrics] == [
        options.output for options in evaluations
    ]


SC_DEPTH = ROOT / "configs" / "sc_depth"


@pytest.mark.parametrize("path", sorted(SC_DEPTH.glob("*.yml")), ids=lambda path: path.name)
def test_configs_of_sc_depth(path):
    options = parse_method(["--method", "sc_depth", "--config", str(path)])
    assert options.protocol.startswith("sc_depth") or "demo" in path.name
    if options.dataset == "scenes":
        assert options.scenes == path.stem and options.protocol == f"sc_depth_{path.stem}"


def test_sc_depth_on_kitti(tmp_path, monkeypatch):
    (tmp_path / "kitti").mkdir()
    script = SC_DEPTH / "train.sh"
    fetched, *recorded = commands(tmp_path, script=script, DATA_PATH="kitti", BACKEND="paddle", PNG="1")
    assert fetched[-1] == "resnet18"
    assert [command[0] for command in recorded] == ["export_gt_depth.py", "train.py", "evaluate_depth.py"]
    _, training, evaluation = (parsed(command, monkeypatch) for command in recorded)
    size = training.height, training.width, training.batch_size, training.num_epochs
    assert (training.method, *size) == ("sc_depth", 256, 832, 4, 100)
    assert training.png and training.backend == "paddle" and training.split == "eigen_zhou"
    assert (evaluation.protocol, evaluation.eval_mono, evaluation.png) == ("sc_depth", True, True)
    assert evaluation.load_weights_folder.endswith(f"runs/{training.model_name}/models/weights_best")


@pytest.mark.parametrize("arguments", [[], ["--long"]])
def test_sc_depth_on_the_street(tmp_path, monkeypatch, arguments):
    """From video alone and from scratch; the last row's weights make the picture."""
    recorded = commands(tmp_path, *arguments, script=SC_DEPTH / "train.sh", BACKEND="torch")
    steps = ["render_drive.py", "export_gt_depth.py", *2 * ["train.py"], *2 * ["evaluate_depth.py"]]
    assert [command[0] for command in recorded] == [*steps, "report_depth.py"]
    _, _, initial, training, _, evaluated, report = (parsed(command, monkeypatch) for command in recorded)
    assert initial.num_epochs == 0 and not training.imagenet() and "s" not in training.frames
    assert (training.height, training.width) == (64, 192) and ("long" in training.model_name) == bool(
        arguments
    )
    last = f"{training.model_name}/models/weights_{training.num_epochs - 1}"
    assert evaluated.load_weights_folder.endswith(last) and evaluated.save_pred_disps
    assert evaluated.load_weights_folder in report.disparities


EPCDEPTH = ROOT / "configs" / "epcdepth"


@pytest.mark.parametrize("path", sorted(EPCDEPTH.glob("*.yml")), ids=lambda path: path.name)
def test_configs_of_epcdepth(path):
    """All four parts, with every hint in one recipe of the authors'."""
    options = parse_method(["--config", str(path)])
    assert options.method == "epcdepth" and options.use_full_scale and options.use_data_graft
    assert options.use_spp_distillate and options.use_depth_hints
    assert options.num_layers == (50 if path.stem == "model50" else 18)
    assert (options.width, options.height) == {
        "demo": (192, 64),
        "model18_lr": (640, 192),
    }.get(path.stem, (1024, 320))


@pytest.mark.parametrize("model", ["model18_lr", "model50"])
def test_epcdepth_on_kitti(tmp_path, monkeypatch, model):
    (tmp_path / "kitti").mkdir()
    variables = {"DATA_PATH": "kitti", "BACKEND": "paddle", "PNG": "1", "MODEL": model}
    fetched, *recorded = commands(tmp_path, script=EPCDEPTH / "train.sh", **variables)
    assert fetched[-1] == ("resnet50" if model == "model50" else "resnet18")
    steps = ["export_gt_depth.py", "precompute_depth_hints.py", "train.py", "evaluate_depth.py"]
    assert [command[0] for command in recorded] == steps
    export, hints, training, evaluation = (parsed(command, monkeypatch) for command in recorded)
    assert (export.source, hints.split, hints.png) == ("forward_scan", "eigen_full", True)
    assert (hints.height, hints.width) == (320, 1024)
    assert training.split == "eigen_full" and training.png and training.backend == "paddle"
    assert (evaluation.protocol, evaluation.eval_stereo) == ("epcdepth_eigen", True)
    assert evaluation.post_process and evaluation.load_weights_folder.endswith("models/weights_19")


@pytest.mark.parametrize("arguments", [[], ["--long"]])
def test_epcdepth_on_the_street(tmp_path, monkeypatch, arguments):
    recorded = commands(tmp_path, *arguments, script=EPCDEPTH / "train.sh", BACKEND="torch")
    steps = ["render_drive.py", "export_gt_depth.py", "precompute_depth_hints.py", *2 * ["train.py"]]
    assert [command[0] for command in recorded] == [*steps, *2 * ["evaluate_depth.py"], "report_depth.py"]
    _, _, hints, initial, training, _, evaluated, report = (
        parsed(command, monkeypatch) for command in recorded
    )
    assert hints.split == training.split and hints.data_path == training.data_path
    assert initial.num_epochs == 0 and not training.imagenet()
    last = f"{training.model_name}/models/weights_{training.num_epochs - 1}"
    assert evaluated.load_weights_folder.endswith(last) and evaluated.save_pred_disps
    assert evaluated.load_weights_folder in report.disparities


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"BACKEND": "jax"}, "BACKEND=jax: choose torch or paddle"),
        ({"MODE": "video"}, "MODE=video: choose mono, stereo or mono+stereo"),
        ({"DATA_PATH": "absent"}, "DATA_PATH=absent: no such folder"),
        ({"WEIGHTS_INIT": "none"}, "WEIGHTS_INIT=none: choose pretrained or scratch"),
        ({"TOOLBOX_PYTHON": "absent/python"}, "absent/python: no such program; give a Python that has"),
    ],
)
def test_mistakes(variables, message):
    result = subprocess.run(
        ["bash", str(FOLDER / "mdp.sh")],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.splitlines()) == 1
