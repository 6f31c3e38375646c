"""The parity check: what it asks, how it compares, what it says when something is wrong, and one real run."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import check_parity
from backends import BACKENDS, installed_backends
from core.datasets.extras import EXTRAS, Extra
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing, Needs, Preparation
from core.options.parsing import parse_method
from core.options.tools import parity_options
from core.parity.bounds import SECTIONS, Section
from core.parity.certificate import certificate, table
from core.parity.comparison import Check, compare
from core.parity.processes import BackendError, run_all
from core.parity.request import Request, requested_options
from core.parity.results import LIMIT, Result, digest, leaves, load_result, sampled, save_result, unused
from tests.scripts import assert_says, refused
from tests.tolerances import assert_close

NAMES = ("torch", "paddle")
LAYERS = ("encoder.conv1", "encoder.bn1", "encoder.layer1.0.conv1", "output.0")
needs_both = pytest.mark.skipif(
    len(installed_backends()) < len(BACKENDS), reason="needs PyTorch and PaddlePaddle both"
)


@pytest.fixture
def request_of() -> Request:
    return Request.make(Monodepth2Options(height=64, width=96, batch_size=2, use_stereo=True), steps=3)


def made_result(seed: int = 0) -> Result:
    """A complete result: every bounded section with a few small arrays."""
    rng = np.random.default_rng(seed)
    result: Result = {"version": np.array("1.0")}
    for section, entry in SECTIONS.items():
        for precision in entry.bounds:
            items = [f"encoder/{layer}" for layer in LAYERS]
            for item in items:
                array = digest(rng.random(3)) if section == "weights" else rng.random((2, 3)) + 1
                result[f"{section}/{precision}/{item}"] = array
    return result


def check_of(checks: list[Check], section: str, precision: str) -> Check:
    return next(check for check in checks if (check.section, check.precision) == (section, precision))


# ---- comparison ----------------------------------------------------------------------------------------------


def test_equal_results_pass() -> None:
    checks = compare(made_result(), made_result(), NAMES)
    assert {(check.section, check.precision) for check in checks} == {
        (section, precision) for section, entry in SECTIONS.items() for precision in entry.bounds
    }
    assert all(check.passed for check in checks)
    assert all(item.difference == 0 for check in checks for item in check.items)


@pytest.mark.parametrize(("factor", "passes"), [(0.99, True), (1.01, False)])
def test_the_bound_is_relative_to_the_largest_value(factor: float, passes: bool) -> None:
    first, second = made_result(), made_result()
    key = "terms/float64/encoder/output.0"
    first[key] = np.array([4.0, -1.0, 0.001])
    second[key] = first[key] + np.array([0, 0, factor * 4 * SECTIONS["terms"].bounds["float64"]])
    check = check_of(compare(first, second, NAMES), "terms", "float64")
    assert check.passed == passes
    item = check.items[-1]
    assert item.name == "encoder/output.0" and item.largest == 4
    assert_close(item.difference, factor * SECTIONS["terms"].bounds["float64"], (1e-3, 0))


def test_the_first_diverging_layer_is_named_not_the_worst() -> None:
    first, second = made_result(), made_result()
    for layer, size in zip(
        LAYERS[1:], (1e-6, 1e-3, 1.0), strict=True
    ):  # grows as it goes through the network
        second[f"layers/float64/encoder/{layer}"] = second[f"layers/float64/encoder/{layer}"] + size
    checks = compare(first, second, NAMES)
    assert check_of(checks, "layers", "float64").telling.name == "encoder.bn1"
    assert [check for check in checks if not check.passed] == [check_of(checks, "layers", "float64")]
    text = table(checks)
    assert_says(text, "FAIL encoder layers, float64: first diverging layer encoder.bn1 (")
    assert_says(text, f"1 of {len(checks)} checks FAILED")
    row = next(line for line in text.splitlines() if line.startswith("encoder layers"))
    assert row.split()[-2:] == ["FAIL", "encoder.bn1"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_fails_even_in_both(bad: float) -> None:
    first, second = made_result(), made_result()
    for result in (first, second):
        result["losses/float64/encoder/encoder.bn1"] = np.array([1.0, bad])
    check = check_of(compare(first, second, NAMES), "losses", "float64")
    assert not check.passed and check.telling.remark == "not finite"


def test_another_shape_fails_and_so_does_what_one_side_lacks() -> None:
    first, second = made_result(), made_result()
    second["statistics/float32/encoder/encoder.bn1"] = np.ones((3, 2))
    del second["update/float64/encoder/encoder.conv1"]
    second["update/float64/encoder/encoder.conv9"] = np.ones(2)
    checks = compare(first, second, NAMES)
    assert check_of(checks, "statistics", "float32").telling.remark == "shapes (2, 3) and (3, 2)"
    remarks = {item.name: item.remark for item in check_of(checks, "update", "float64").items}
    assert remarks["encoder/encoder.conv1"] == "only torch has it"
    assert remarks["encoder/encoder.conv9"] == "only paddle has it"
    assert not check_of(checks, "update", "float64").passed


def test_zeros_on_both_sides_are_equal_and_on_one_are_not() -> None:
    first, second = made_result(), made_result()
    key = "loss_gradients/float64/encoder/encoder.conv1"
    first[key] = second[key] = np.zeros(3)
    assert check_of(compare(first, second, NAMES), "loss_gradients", "float64").passed
    second[key] = np.array([0, 1e-30, 0])
    assert not check_of(compare(first, second, NAMES), "loss_gradients", "float64").passed


def test_weights_must_be_equal_to_the_bit() -> None:
    first, second = made_result(), made_result()
    key = "weights/float32/encoder/encoder.conv1"
    first[key], second[key] = (
        digest(np.float32([1, 2])),
        digest(np.nextafter(np.float32([1, 2]), np.float32(9))),
    )
    check = check_of(compare(first, second, NAMES), "weights", "float32")
    assert not check.passed and check.telling.name == "encoder/encoder.conv1"


def test_a_section_that_is_missing_does_not_pass() -> None:
    first, second = (
        {key: array for key, array in made_result().items() if not key.startswith("update/")}
        for _ in range(2)
    )
    with pytest.raises(ValueError, match="lack update in float64"):
        compare(first, second, NAMES)


# ---- arrays --------------------------------------------------------------------------------------------------


def test_large_arrays_are_thinned_evenly(tmp_path: Path) -> None:
    array = np.arange(10.0 * LIMIT).reshape(10, -1)
    thin = sampled(array)
    assert thin.shape == (LIMIT,) and thin[0] == 0 and thin[-1] == array[-1, -1]
    assert np.diff(thin).min() >= 9 and np.diff(thin).max() <= 11
    assert set(thin.astype(int) % 9) == set(range(9))  # every place of a 3×3 kernel
    small = array[:, : LIMIT // 10]
    assert sampled(small) is small
    save_result(tmp_path / "result.npz", {"b/x": thin, "a": np.array("text")})
    read = load_result(tmp_path / "result.npz")
    assert list(read) == ["b/x", "a"] and str(read["a"]) == "text"
    assert_close(read["b/x"], thin, "exact")


def test_names_of_nested_outputs_and_repeated_calls() -> None:
    output = [{"x": 1, 0: 2}, (3,)]
    assert dict(leaves("depth/output", output)) == {
        "depth/output.0.x": 1,
        "depth/output.0.0": 2,
        "depth/output.1.0": 3,
    }
    record = Section("a title", {"float32": 0.5}, "a reason")
    names = ["x.title", "x.bounds.float32", "x.reason", "x.optional"]
    assert list(dict(leaves("x", record))) == names
    taken: dict[str, int] = {}
    for number in range(3):
        taken[unused("pose/net.0", taken)] = number
    assert list(taken) == ["pose/net.0", "pose/net.0 (call 2)", "pose/net.0 (call 3)"]


def test_a_request_survives_its_file_and_depends_on_the_seed_alone(
    tmp_path: Path, request_of: Request
) -> None:
    request_of.save(tmp_path / "request.npz")
    read = Request.load(tmp_path / "request.npz")
    assert read.options == request_of.options and read.steps == 3
    again = Request.make(request_of.options, steps=3)
    assert list(read.batch) == list(request_of.batch) == list(again.batch)
    for name, array in request_of.batch.items():
        assert array.dtype == read.batch[name].dtype
        np.testing.assert_array_equal(array, read.batch[name])
        np.testing.assert_array_equal(array, again.batch[name])
    shapes = {"a.weight": (4, 3, 3, 3), "n.weight": (4,), "n.running_mean": (4,), "n.num_batches_tracked": ()}
    one, two = request_of.weights("encoder", shapes), read.weights("encoder", shapes)
    assert list(one) == ["a.weight", "n.weight", "n.running_mean"]
    for name in one:
        assert one[name].dtype == np.float32
        np.testing.assert_array_equal(one[name], two[name])
    assert not np.array_equal(one["a.weight"], read.weights("depth", shapes)["a.weight"])
    other = Request.make(
        Monodepth2Options(height=64, width=96, batch_size=2, use_stereo=True, seed=1), steps=3
    )
    assert not np.array_equal(other.batch["image_0_0"], request_of.batch["image_0_0"])
    assert not np.array_equal(
        other.draw("noise/0", (2, 3), "normal"), request_of.draw("noise/0", (2, 3), "normal")
    )


def test_the_batch_is_what_training_gets(request_of: Request) -> None:
    batch = request_of.batch
    for frame in (0, -1, 1, "s"):
        assert batch[f"augmented_{frame}"].shape == (2, 64, 96, 3)
        assert not np.array_equal(batch[f"augmented_{frame}"], batch[f"image_{frame}_0"])
        for scale in range(4):
            assert batch[f"image_{frame}_{scale}"].shape == (2, 64 >> scale, 96 >> scale, 3)
    # The views are one texture moved by two pixels per unit of time, so there is something to match.
    target, later = (batch[f"image_{frame}_0"].astype(int) for frame in (0, 1))
    moved, still = np.abs(target[:, :, 2:] - later[:, :, :-2]).mean(), np.abs(target - later).mean()
    assert moved < still / 2
    assert_close(batch["T_stereo"][0, 0, 3], -batch["T_stereo"][1, 0, 3], "exact")
    for truth in request_of.ground_truth():
        assert truth.shape == (128, 192)
        assert truth.values.min() >= 3 and truth.values.max() <= 60
        assert 0.25 < truth.index.size / (128 * 192) < 0.35


# ---- options -------------------------------------------------------------------------------------------------


def test_options_of_the_method_keep_its_defaults_unless_given() -> None:
    options = requested_options(
        parse_method(["--pose_model_type", "posecnn", "--seed", "3"], options_of=parity_options)
    )
    assert (options.pose_model_type, options.seed, options.height, options.width) == ("posecnn", 3, 64, 96)
    defaults = Monodepth2Options()
    assert (options.num_layers, options.frame_ids) == (defaults.num_layers, defaults.frame_ids)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backends", "torch"], "no pair to compare; use torch paddle"),
        (["--backends", "torch", "torch"], "no pair to compare"),
        (["--backends", "torch", "jax"], "'jax' is none of torch, paddle"),
        (["--height", "65"], "option height"),
        (["--steps", "0"], "option steps"),
        (["--predictive_mask"], "requires disable_automasking"),
        (["--load_weights_folder", "nowhere"], "nowhere"),
        (["--learning_rate", "1"], "unknown option --learning_rate"),
    ],
)
def test_a_wrong_request_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        requested_options(parse_method(arguments, options_of=parity_options))
    assert_says(str(caught.value), said)
    assert "\n" not in str(caught.value)


def test_one_framework_is_not_enough(tmp_path: Path) -> None:
    message = refused("check_parity.py", folder=tmp_path, without=("paddle",))
    assert_says(message, "PaddlePaddle is not installed", "pip install paddlepaddle")


# ---- processes -----------------------------------------------------------------------------------------------


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"print('float64 layers', flush=True)\n{code}"]


def run_pair(folder: Path, code: str, timeout: float = 60) -> None:
    """One process that says when it has done its work for a minute, and one that runs the code."""
    commands = {
        "torch": python("import time; time.sleep(60); print('done', flush=True)"),
        "paddle": python(code),
    }
    run_all(commands, folder, dict(os.environ), timeout)


def test_a_crash_is_one_line_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        run_pair(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert str(caught.value) == "paddle: killed by SIGSEGV during float64 layers"
    assert "done" not in (tmp_path / "torch.out").read_text()  # the other one is not waited for


def test_an_exception_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        run_pair(tmp_path, "raise ValueError('too\\nlong')")
    assert str(caught.value) == "paddle: exit code 1 during float64 layers: long"


def test_a_hang_ends_and_leaves_no_process(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60); print('done')"
    with pytest.raises(BackendError, match=r"^paddle: no end after 1 s, during \d+; see --timeout$"):
        run_all({"paddle": python(code)}, tmp_path, dict(os.environ), timeout=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "paddle.out").read_text().split()[-1]), 0)


def test_a_users_mistake_is_passed_on(tmp_path: Path) -> None:
    code = "import sys; print('error: encoder.pth: no such file', file=sys.stderr); sys.exit(2)"
    with pytest.raises(UserError, match=r"^paddle: encoder\.pth: no such file$"):
        run_pair(tmp_path, code)


def test_a_crash_ends_the_check_with_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object) -> None:
        raise BackendError("paddle: killed by SIGSEGV during float64 layers")

    monkeypatch.setattr("core.parity.processes.ask", crash)
    monkeypatch.setattr("backends.installed_backends", lambda: list(BACKENDS))
    with pytest.raises(SystemExit) as caught:
        check_parity.main(["--output", str(tmp_path / "parity.json")])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "FAIL paddle: killed by SIGSEGV during float64 layers\n"
    assert not (tmp_path / "parity.json").exists()


# ---- the certificate -----------------------------------------------------------------------------------------


def test_the_certificate_is_plain_json_with_the_failures(request_of: Request) -> None:
    first, second = made_result(), made_result()
    second["layers/float32/encoder/encoder.bn1"] = np.array([np.nan])
    second["weights/float32/encoder/encoder.bn1"] = digest(np.zeros(1))
    checks = compare(first, second, NAMES)
    written = certificate(request_of, {"torch": first, "paddle": second}, checks, threads=1)
    read = json.loads(json.dumps(written, allow_nan=False))
    assert read["passed"] is False
    assert read["backends"] == {"torch": "1.0", "paddle": "1.0"}
    layers = next(c for c in read["checks"] if (c["section"], c["precision"]) == ("layers", "float32"))
    assert (
        layers["first_diverging"] == "encoder.bn1"
        and layers["bound"] == 1e-5
        and layers["difference"] is None
    )
    assert [item["name"] for item in layers["items"]] == list(LAYERS)
    digests = read["sha256_of_weights"]
    assert digests["torch"]["encoder"] != digests["paddle"]["encoder"]
    assert len(digests["torch"]["encoder"]) == len(read["sha256_of_inputs"]["K"]) == 64
    assert read["options"]["num_layers"] == 18 and read["threads"] == 1


def test_a_batch_has_what_the_method_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Depth for a loss and for a network, extras, the side of the camera; no intrinsics, float images."""

    class Needy(Monodepth2Options):
        def needs(self, part: str) -> Needs:
            return Needs(
                frames=(0, 1), intrinsics=False, augmented=False, side=True, depth=True, extras=("up",)
            )

        def listings(self, part: str) -> list[Listing]:
            return [Listing("kitti", "", "", input_depth="velodyne")]

        def preparation(self, part: str) -> Preparation:
            return Preparation(self.height, self.width, filter="float_bilinear")

    def make_up(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
        return generator.random((3, height, width))

    monkeypatch.setitem(EXTRAS, "up", Extra(None, None, None, None, "", make_up))  # type: ignore[arg-type]
    batch = Request.make(Needy(height=64, width=96, batch_size=3), 1).batch
    images = {f"image_{frame}_{scale}" for frame in (0, 1) for scale in range(4)}
    assert set(batch) == images | {"side", "depth", "input_depth", "up"}
    assert batch["image_0_0"].dtype == np.float32 and 0 < batch["image_0_0"].max() <= 1
    assert batch["side"].tolist() == [-1, 1, -1] and batch["up"].shape == (3, 3, 64, 96)
    for name in ("depth", "input_depth"):
        assert batch[name].shape == (3, 1, 64, 96) and batch[name].dtype == np.float32
        known = batch[name] > 0
        assert 0.2 < known.mean() < 0.4 and batch[name][known].min() >= 3 and batch[name].max() <= 60
    assert not np.array_equal(batch["depth"], batch["input_depth"])


def test_rounding_of_a_bias_without_effect_is_no_difference_but_a_gradient_is() -> None:
    """Beside the weight of its layer: both must be nothing."""
    first, second = made_result(), made_result()
    key = "loss_gradients/float64/encoder/encoder.conv1"
    for result, bias in ((first, 1e-17), (second, -3e-17)):
        result[f"{key}.weight"], result[f"{key}.bias"] = np.array([0.5, 2.0]), np.array([bias])
    item = next(
        one
        for one in check_of(compare(first, second, NAMES), "loss_gradients", "float64").items
        if one.name.endswith(".bias")
    )
    assert item.difference == pytest.approx(2e-17)
    second[f"{key}.bias"] = np.array([1e-5])
    assert not check_of(compare(first, second, NAMES), "loss_gradients", "float64").passed
    first[f"{key}.bias"], second[f"{key}.bias"] = np.array([1.0]), np.array([1.1])
    assert not check_of(compare(first, second, NAMES), "loss_gradients", "float64").passed


def test_networks_without_batch_normalisation_have_no_statistics() -> None:
    results = [
        {key: array for key, array in made_result().items() if not key.startswith("statistics")}
        for _ in NAMES
    ]
    assert not any(check.section == "statistics" for check in compare(*results, NAMES))
