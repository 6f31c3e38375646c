"""All recorded steps of a training, and its end: `python -m pytest tests/slow --backend torch -k recorded`."""

import numpy as np
import pytest

from tests.backends.methods.test_sc_depth import check_steps, official, run_steps
from tests.tolerances import assert_close


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
