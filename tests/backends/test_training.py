"""Recorded training steps, in double and single precision: the first ones here, all in tests/slow."""

import json

import numpy as np
import pytest

from core.options.methods.monodepth2 import Monodepth2Options
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

STEPS = {"float64": 2, "float32": 1}
SEEDS = {"encoder": 1.0, "depth": 0.8, "pose_encoder": 1.0, "pose": 1.0}
FILES = {
    "encoder": "encoder.pth (ResNet-18)",
    "depth": "depth.pth (ResNet-18)",
    "pose_encoder": "pose_encoder.pth (ResNet-18, 2 images)",
    "pose": "pose.pth (separate_resnet, ResNet-18)",
}


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/training.npz")


def collate(recorded, number):
    """Recorded batch as a batch of samples, plain and augmented images alike."""
    group = f"batch_{number % 3}"
    batch = {f"image_0_{scale}": recorded[f"{group}/image_0_scale_{scale}"] for scale in range(4)}
    batch |= {f"image_{frame}_0": recorded[f"{group}/image_{frame}_scale_0"] for frame in (-1, 1)}
    batch |= {f"augmented_{frame}": batch[f"image_{frame}_0"] for frame in (0, -1, 1)}
    return batch | {"K": np.repeat(recorded["K_0"][None, :3, :3], 2, axis=0)}


def build(backend, golden, recorded, arrays, monkeypatch, precision, settings):
    """The method with recorded weights, without auto-mask noise."""
    options = Monodepth2Options(height=settings["height"], width=settings["width"], weights_init="scratch")
    method = backend.module("methods.monodepth2").Monodepth2(options)
    method.draw = lambda name, shape, kind: backend.tensor(np.zeros(shape, np.float32))
    files = golden("monodepth2/names.json")["files"]
    for name, network in method.networks().items():
        shapes = {key: tuple(shape) for key, shape, _ in files[FILES[name]]["tensors"]}
        backend.fill(network, arrays.weights(shapes, f"golden/{name}", SEEDS[name]))
    if precision == "float64":
        backend.to_float64(method)
        # The recorded run widened a float32 inverse, 1e-8 away from the exact one.
        inverse = np.repeat(recorded["K_inverse_0"][None, :3, :3], 2, axis=0).astype(np.float64)
        monkeypatch.setattr(
            backend.module("geometry"), "invert_intrinsics", lambda K: backend.tensor(inverse)
        )
    method.train()
    return method


def loss_row(terms):
    """[total, loss of each scale], as recorded."""
    scales = [4 * sum(value for name, value in terms.items() if name.endswith(f"/{s}")) for s in range(4)]
    return [sum(terms.values()), *scales]


@pytest.mark.parametrize("precision", list(STEPS))
def test_training_steps(backend, golden, recorded, arrays, monkeypatch, precision):
    take_steps(backend, golden, recorded, arrays, monkeypatch, precision, STEPS[precision])


def take_steps(backend, golden, recorded, arrays, monkeypatch, precision, count):
    """Losses before each of them; poses and gradients before the first."""
    settings = json.loads(str(recorded["settings_json"]))
    method = build(backend, golden, recorded, arrays, monkeypatch, precision, settings)
    optimizer = backend.adam(method.parameter_groups(), float(recorded[f"{precision}/learning_rate"]))
    sensitivity = recorded[f"{precision}/sensitivity/losses_relative"]
    # The recorded file's own bounds: 20 times its sensitivity, and at least these.
    floor = {"float64": 1e-6, "float32": 1e-4, "float32_small_rate": 1e-3}[precision]
    for step in range(count):
        batch = backend.batch(collate(recorded, step), precision)
        if step == 0:
            check_poses(backend, recorded, method, batch, precision)
        terms = method.losses(batch).terms
        row = loss_row({name: backend.array(term).item() for name, term in terms.items()})
        bound = max(20 * sensitivity[step], floor)
        expected = recorded[f"{precision}/losses"][step]
        for found, wanted in zip(row, expected, strict=True):
            assert abs(found - wanted) <= bound * abs(wanted), (
                f"step {step}: {found}, recorded {wanted}, bound {bound}"
            )
        if step == 0 or step + 1 < count:
            backend.step(optimizer, sum(terms.values()))
        if step == 0:
            check_gradients(backend, recorded, method, precision)


def check_gradients(backend, recorded, method, precision):
    """Those that the first update was made of."""
    parameters = dict(backend.module("checkpoint").named_parameters(method.networks()))
    bound = 1e-6 if precision == "float64" else 2e-2
    for name in method.networks():
        expected = recorded[f"{precision}/first_step/gradient_statistics_{name}"]
        for parameter, row in zip(
            recorded[f"first_step/gradient_names_{name}"].tolist(), expected, strict=True
        ):
            array = backend.array(parameters[f"{name}/{parameter}"].grad).astype(np.float64)
            statistics = [array.mean(), array.std(), np.abs(array).mean()]
            assert_close(statistics, row, (0, bound * max(row[1], row[2])), label=f"{name} {parameter}")


def check_poses(backend, recorded, method, batch, precision):
    """Before the first update, in the batch norms' training mode, without moving them twice."""
    before = {
        name: backend.module("checkpoint").network_state(net) for name, net in method.networks().items()
    }
    features = {}
    with backend.no_gradients():
        poses = method.poses(batch, features)
    close = (0, 1e-12) if precision == "float64" else (0, 1e-6)
    for frame, pose in poses.items():
        group = f"{precision}/first_step"
        assert_close(backend.array(pose.axisangle), recorded[f"{group}/axisangle_{frame}"][:, 0, 0], close)
        assert_close(
            backend.array(pose.translation), recorded[f"{group}/translation_{frame}"][:, 0, 0], close
        )
        assert_close(backend.array(pose.transform()), recorded[f"{group}/T_source_target_{frame}"], close)
    for name, network in method.networks().items():
        backend.fill(network, before[name])
        network.train()
