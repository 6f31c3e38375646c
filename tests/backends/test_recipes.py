"""Every recipe of the published models takes a step on the rendered drive, and reads the same of real KITTI.

The first recipe of each reader has a loss on real KITTI, too; in tests/slow all of them.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.datasets import open_dataset
from core.datasets.loader import batches
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse

pytestmark = pytest.mark.usefixtures("narrow")

FOLDER = Path(__file__).resolve().parent.parent.parent / "configs" / "monodepthv2" / "recipes"
HEIGHT, WIDTH = 64, 64
# What the tests replace; the reader of the data set is a real one's own.
REPLACED = (
    "model_name",
    "keep_moments",
    "split",
    "height",
    "width",
    "batch_size",
    "num_epochs",
    "learning_rate",
    "weights_init",
)


def alike_but_for_size() -> list[list[str]]:
    """Names of the recipes, together where they differ only in what the tests replace."""
    groups: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("*.yml")):
        options = dataclasses.asdict(parse(Monodepth2Options, ["--config", str(path)]))
        options["load_weights_folder"] = options["load_weights_folder"] is not None
        rest = {name: value for name, value in options.items() if name not in REPLACED}
        groups.setdefault(str(rest), []).append(path.stem)
    return list(groups.values())


GROUPS = alike_but_for_size()


def test_none_is_forgotten() -> None:
    assert sorted(name for names in GROUPS for name in names) == sorted(
        path.stem for path in FOLDER.glob("*.yml")
    )
    assert len(GROUPS) == 14


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists of a real stereo drive, in the folders `kitti` and `kitti_odom`."""
    folder = tmp_path_factory.mktemp("lists")
    for name, drive in {"kitti": "2011_10_03/2011_10_03_drive_0034_sync", "kitti_odom": "2"}.items():
        (folder / name).mkdir()
        lines = [f"{drive} {frame} {side}\n" for frame, side in ((1, "l"), (4, "r"), (6, "l"), (8, "r"))]
        (folder / name / "train_files.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def weights(narrow, backend, tmp_path_factory) -> Path:
    """Of networks that no recipe begins with."""
    folder = tmp_path_factory.mktemp("weights")
    method = backend.module("methods").make_method(recipe(GROUPS[0][0]))
    backend.module("checkpoint").save_networks(method.networks(), folder, {})
    return folder


@pytest.fixture(scope="module", params=[names[0] for names in GROUPS])
def model(narrow, backend, request, weights) -> tuple[str, Any, Any]:
    """The name of a recipe, its method and optimiser: small, from scratch, or from weights where it says so."""
    options = recipe(request.param)
    method = backend.module("methods").make_method(options)
    if options.load_weights_folder is not None:
        names = [network for network in options.models_to_load if network in method.networks()]
        backend.module("checkpoint").load_networks(method.networks(), weights, names)
    return request.param, method, backend.adam(method.parameter_groups(), options.learning_rate)


def recipe(name: str, *more: object) -> Monodepth2Options:
    size = ["--height", HEIGHT, "--width", WIDTH, "--batch_size", 2, "--weights_init", "scratch"]
    return parse(
        Monodepth2Options, [str(word) for word in ("--config", FOLDER / f"{name}.yml", *size, *more)]
    )


FIRST_OF_READERS = {recipe(names[0]).dataset: names[0] for names in reversed(GROUPS)}.values()


def samples_of(name: str, *where: object) -> tuple[Any, Any]:
    """Two batches of what the recipe reads there."""
    dataset = open_dataset(recipe(name, *where), "train")
    two, others = batches(dataset, 0, 2, shuffle=True, seed=0, num_workers=0, drop_last=True)
    assert two["K"].shape == others["K"].shape
    return two, others


def loss_of(backend, model: tuple[str, Any, Any], two: Any) -> Any:
    """Of samples; it must be finite, after an earlier step as well."""
    _, method, _ = model
    method.train()
    total = method.losses(backend.batch(two, "float32")).loss
    loss = float(backend.array(total.detach()))
    assert math.isfinite(loss) and loss > 0
    return total


def rendered(name: str, drive: Path) -> tuple[Any, Any]:
    """Of the rendered drive: its layout is KITTI raw's, whatever the recipe reads."""
    return samples_of(name, "--data_path", drive, "--split", drive / "splits", "--dataset", "kitti")


def test_on_the_rendered_drive(backend, model, drive) -> None:
    backend.step(model[2], loss_of(backend, model, rendered(model[0], drive)[0]))


def test_on_real_samples(backend, model, shared, real, drive) -> None:
    """To the method they are like the rendered ones: names, types and shapes, and finite."""
    reader = recipe(model[0]).dataset
    root = shared / "data" / "kitti_stereo_02" / {"kitti": "raw", "kitti_odom": "odometry"}[reader]
    found, _ = samples_of(model[0], "--data_path", root, "--split", real / reader, "--png")
    expected, _ = rendered(model[0], drive)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape), name
        assert np.isfinite(array).all(), name
    if model[0] in FIRST_OF_READERS:
        with backend.no_gradients():  # whose samples do not change them
            loss_of(backend, model, found)
