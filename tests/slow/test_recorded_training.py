"""All recorded steps of a training, and its end: `python -m pytest tests/slow --backend torch -k recorded`."""

import numpy as np
import pytest

from tests.backends.methods import test_epcdepth as epcdepth
from tests.backends.methods import test_featdepth as featdepth
from tests.backends.methods import test_packnet as packnet
from tests.backends.methods.test_featdepth import divisor_of_the_recording
from tests.backends.methods.test_sc_depth import (
    check_double_steps,
    check_settings,
    check_steps,
    inputs,
    losses,
    official,
    run_steps,
)
from tests.tolerances import assert_close

__all__ = ["divisor_of_the_recording", "inputs", "losses"]  # fixtures


def test_all_sixteen_settings(losses, inputs):
    check_settings(losses, inputs, range(len(losses["variant_options"])))


@pytest.fixture(scope="module", params=["float32", "float64"])
def trained(request, backend, golden, arrays):
    """A run in either precision, with what was recorded of the same run in that precision."""
    recorded, *rest = run_steps(backend, golden, arrays, request.param)
    if request.param == "float64":
        own = {
            name.removeprefix("float64_"): recorded[name] for name in recorded if name.startswith("float64_")
        }
        recorded = recorded | own
    return recorded, *rest


def test_the_recorded_steps(trained):
    recorded, _, terms, poses, _, _ = trained
    assert len(terms) == 10
    check_steps(recorded, terms, poses)


def test_two_steps_closely_in_double_precision(backend, golden, arrays):
    check_double_steps(*run_steps(backend, golden, arrays, "float64", 2)[:4])


def test_the_state_after_the_last_step(backend, trained):
    recorded, method, _, _, _, plain = trained
    state = {
        official(f"{network}/{name}"): array
        for network, module in method.networks().items()
        for name, array in backend.module("checkpoint").network_state(module).items()
    }
    compared = 0
    for name, mean, std in zip(
        recorded["final_names"].tolist(), recorded["final_mean"], recorded["final_std"], strict=True
    ):
        if ".fc." not in name:
            assert_close(state[name].mean(), mean, (0, 5e-5), label=name)
            assert_close(state[name].std(), std, (0, 5e-5), label=name)
            compared += 1
    assert compared == len(recorded["final_names"]) - 4
    for first, count in zip(("depth_net", "pose_net"), recorded["final_num_batches_tracked"], strict=True):
        counter = f"{first}.encoder.encoder.bn1.num_batches_tracked"
        assert counter not in state or state[counter] == count
    method.eval()
    with backend.no_gradients():
        disparity = method.predict({"image": backend.tensor(plain[:1])})["disparity"]
        targets = recorded["step_targets"][0]
        batch = {f"image_{f}_0": backend.tensor(plain[targets + f]) for f in (0, -1, 1)}
        batch["K"] = backend.tensor(np.tile(recorded["K"].astype(plain.dtype), (2, 1, 1)))
        photometric = method.losses(batch).terms["photometric"]
    assert_close(1 / backend.array(disparity), recorded["final_depth"], (5e-3, 0))
    expected = recorded["validation_photometric"]
    assert_close(float(backend.array(photometric)), expected, (3e-3, 0))


# ---- EPCDepth: six steps, of which the tests of every day take the first ------------------------------------------


@pytest.fixture(scope="module", params=["float32", "float64"])
def six_steps(request, backend, golden, arrays):
    """A run in either precision, and its precision."""
    return request.param, *epcdepth.run_steps(backend, golden, arrays, request.param)


def test_the_six_recorded_steps(six_steps):
    """In double precision all; in single the first three, for which the recorded bounds can hold.

    Adam makes ± the rate of a rounded gradient: where the last bit of the initial weights is chosen at random, PyTorch
    itself is beyond the bound of the sixth step in four runs of four.
    """
    dtype, recorded, _, losses, _ = six_steps
    assert len(losses) == len(recorded[f"{dtype}/losses"]) == 6
    epcdepth.check_steps(recorded, losses if dtype == "float64" else losses[:3], dtype)


def test_the_state_after_the_sixth_step(backend, six_steps):
    """Recorded in double precision alone."""
    dtype, recorded, method, _, _ = six_steps
    for part, network in (("encoder", method.encoder), ("decoder", method.depth)):
        state = backend.module("checkpoint").network_state(network)
        names = [name for name in recorded[f"final/names_{part}"].tolist() if ".fc." not in name]
        assert set(names) == {name for name in state if "num_batches_tracked" not in name}
        rows = dict(
            zip(recorded[f"final/names_{part}"].tolist(), recorded[f"final/statistics_{part}"], strict=True)
        )
        for name in names:
            found = [state[name].mean(dtype=np.float64), state[name].std(dtype=np.float64)]
            assert_close(found, rows[name], (5e-2, 0) if ".running_" in name else (0, 2e-4), label=name)
    image = epcdepth.planes(recorded["batch_0/target"]).astype(dtype)
    method.eval()
    with backend.no_gradients():
        found = method.depth.decode(method.encoder(backend.tensor(image)), (0, 1, 2))
    for number, deviation in enumerate(recorded["final/sigmoid_deviation_float32"]):
        expected = recorded[f"final/sigmoid_{number}"]
        assert_close(backend.array(found[number]), expected, (0, 3 * deviation), label=str(number))


# ---- PackNet: five steps, of which the tests of every day take the first ------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_five_recorded_steps_of_packnet(backend, golden, arrays, precision):
    """In double precision with the state after them: the recorded runs in single and double have drifted apart."""
    recorded, method, rows, first = packnet.run_steps(backend, golden, arrays, precision, 5)
    packnet.check_first_step(recorded, rows, first, precision)
    for step in range(1, 5):
        wanted = recorded[f"{precision}/losses"][step]
        loss = 1e-4 if precision == "float64" else 3e-3
        for found, expected, bound in zip(rows[step], wanted, (loss, loss, loss, 2e-2, 2e-2), strict=True):
            assert_close(found, expected, (bound, 0), label=f"step {step}")
    if precision == "float32":
        return
    images = packnet.planes(recorded["batch_1/images"].reshape(-1, 64, 96, 3)).astype(precision)
    target, *sources = (backend.tensor(images[j::3]) for j in range(3))
    with backend.no_gradients():
        disparity, pose = method.depth(target)[0], method.pose(target, sources)
    assert_close(backend.array(disparity), recorded["float64/final_inverse_depth"], (1e-3, 0))
    assert_close(backend.array(pose), recorded["float64/final_pose"], (1e-3, 0))


# ---- FeatDepth: five steps, of which the tests of every day take the first ----------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_five_recorded_steps_of_featdepth(backend, golden, arrays, divisor_of_the_recording, dtype):
    """Losses, norms, gradients of the first step, the networks' outputs in the last, and the prediction after it."""
    recorded, method, steps = featdepth.run_steps(backend, golden, arrays, dtype, 5)
    double = dtype == "float64"
    for step, (row, _, _, _) in enumerate(steps):
        featdepth.check_row(recorded, row, step, dtype)
    if double:
        _, maps, motions, found = steps[0]
        featdepth.check_networks(recorded, 0, maps, motions, featdepth.FIRST)
        featdepth.check_gradients(recorded, found)
        _, maps, motions, _ = steps[4]
        featdepth.check_networks(recorded, 4, maps, motions, (1e-4, 0))
    method.eval()
    with backend.no_gradients():
        target = featdepth.recorded_batch(backend, recorded, 4 % 3, dtype)["image_0_0"]
        sigmoid = method.depth(method.encoder(target))[0]
    assert_close(backend.array(sigmoid), recorded[f"{dtype}/final_sigmoid_0"], (1e-4 if double else 3e-2, 0))
