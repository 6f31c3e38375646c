"""EPCDepth's losses, data grafting and training against the recorded numbers of the published program."""

import numpy as np
import pytest

from core.options.methods.epcdepth import EPCDepthOptions
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

SCALARS = (1e-9, 0)
MAPS = (0, 1e-6)
GRADIENTS = (1e-6, 1e-12)
# What each recorded setting switches on.
VARIANTS = {
    "base": {},
    "no_automasking": {"disable_automasking": True},
    "hint": {"use_depth_hints": True},
    "hint_no_automasking": {"use_depth_hints": True, "disable_automasking": True},
    "smooth": {"disparity_smoothness": 0.1},
    "distillation": {"use_spp_distillate": True},
    "recommended": {"use_depth_hints": True, "use_spp_distillate": True},
    "all": {
        **{"use_depth_hints": True, "use_spp_distillate": True},
        **{"spp_loss": 0.5, "disparity_smoothness": 0.1},
    },
    "plain": {"use_depth_hints": True, "use_spp_distillate": True, "disparity_smoothness": 0.1},
}


@pytest.fixture(scope="module")
def losses(golden):
    return dict(golden("epcdepth/losses.npz"))


@pytest.fixture(scope="module")
def grafting(golden):
    return dict(golden("epcdepth/grafting.npz"))


def planes(images):
    """uint8 (N, H, W, 3) → float32 (N, 3, H, W) in [0, 1]."""
    return images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


class Inputs:
    """The recorded batch and network outputs, and the losses of them."""

    def __init__(self, backend, recorded, arrays, dtype="float64"):
        self.backend, self.recorded, self.dtype = backend, recorded, dtype
        self.arrays = {
            f"image_{frame}_0": planes(recorded[name])
            + arrays.uniform(f"epcdepth/dither/{name}", (2, 3, 64, 192), -0.004, 0.004)
            for frame, name in ((0, "target"), ("s", "source"))
        }
        self.arrays |= {
            "T_stereo": recorded["T_source_target"],
            "K": recorded["K"][:, :3, :3],
            "hint": recorded["depth_hint"],
        }
        self.batch = {name: backend.tensor(array.astype(dtype)) for name, array in self.arrays.items()}
        self.uniform = arrays.uniform

    def noise(self, name, shape, kind):
        assert kind == "normal"
        number = name.removeprefix("noise/")
        drawn = self.uniform(f"epcdepth/noise/{number}", (2, 1, 64, 192), -2, 2)
        assert tuple(shape) == drawn.shape
        return self.backend.tensor(drawn)

    def sigmoids(self, count, gradient=False):
        return [
            self.backend.tensor(self.recorded[f"sigmoid_{number}"].astype(self.dtype), gradient)
            for number in range(count)
        ]

    def method(self, draw=None, **values):
        values = {"use_full_scale": True, "weights_init": "scratch", **values}
        build = self.backend.module("methods.epcdepth").EPCDepth
        method = build.__new__(build)
        self.backend.module("methods.base").Method.__init__(
            method, EPCDepthOptions(**values), draw or self.noise
        )
        method.train()
        return method

    def variant(self, name, gradient=False, draw=None, **values):
        """The losses of a recorded setting, their maps, and the network outputs as tensors."""
        sigmoids = self.sigmoids(4 if name == "plain" else 10, gradient)
        method = self.method(draw, **VARIANTS[name], use_full_scale=name != "plain", **values)
        return method.stereo_losses(self.batch, sigmoids), sigmoids


@pytest.fixture(scope="module")
def inputs(backend, losses, arrays):
    return Inputs(backend, losses, arrays)


def number(backend, tensor):
    return float(backend.array(tensor))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_recorded_setting(backend, losses, inputs, name):
    """Totals and terms; gradients where they were kept."""
    kept = [key for key in losses if key.startswith(f"{name}/gradient_") and "norm" not in key]
    found, sigmoids = inputs.variant(name, gradient=True)
    terms = {key: number(backend, term) for key, term in found.terms.items()}
    assert_close(number(backend, found.loss), losses[f"{name}/total"], SCALARS)
    distilled = terms.pop("distillation", 0) / VARIANTS[name].get("spp_loss", 1)
    assert_close(distilled, losses[f"{name}/distillation"], SCALARS)
    assert_close(sum(terms.values()), losses[f"{name}/base"], SCALARS)
    smooth = VARIANTS[name].get("disparity_smoothness", 0)
    expected = losses[f"{name}/reprojection_plus_hint"].mean()
    assert_close(terms["photometric"] + terms.get("hint", 0), expected, SCALARS)
    if f"{name}/hint_term" in losses:
        assert_close(terms["hint"], losses[f"{name}/hint_term"].mean(), SCALARS)
    if smooth:
        unweighted = losses[f"{name}/smoothness_unweighted"]
        expected = smooth * np.mean(unweighted / 2.0 ** np.arange(len(unweighted)))
        assert_close(terms["smoothness"], expected, SCALARS)
    if not kept and f"{name}/gradient_norm" not in losses:
        return
    gradients = backend.gradients(found.loss, sigmoids)
    norms = [np.linalg.norm(gradient) for gradient in gradients]
    assert_close(norms, losses[f"{name}/gradient_norm"], GRADIENTS)
    for key in kept:
        output, _, stride = key.partition("/gradient_")[2].partition("_stride")
        step = int(stride or 1)
        assert_close(gradients[int(output)][:, :, ::step, ::step], losses[key], GRADIENTS, label=key)


def test_maps_winners_and_labels(backend, losses, inputs):
    found, _ = inputs.variant("recommended")
    maps = {name: backend.array(array) for name, array in found.maps.items()}
    for output in (0, 3, 4, 5, 9):
        recorded = losses[f"reprojection_error_{output}"]
        assert_close(maps[f"reprojection_{output}"], recorded, MAPS, label=str(output))
    for output in range(10):
        np.testing.assert_array_equal(maps[f"winner_{output}"], losses["winner"][output])
    assert_close(maps["warped_s_0"][:1], losses["warped_0"], MAPS)
    np.testing.assert_array_equal(maps["automask_0"], losses["winner"][0][:, 0] != 1)
    for name in ("base", "hint_no_automasking"):
        winner = backend.array(inputs.variant(name)[0].maps["winner_0"])
        recorded = losses[f"{name}/winner_0"]  # counted among the candidates that there are
        np.testing.assert_array_equal(winner, 2 * recorded if "no_automasking" in name else recorded)
    method = inputs.method(**VARIANTS["recommended"])
    full = [found.maps[f"sigmoid_{output}"] for output in range(10)]
    errors = [found.maps[f"reprojection_{output}"] for output in range(10)]
    labels = [backend.array(label) for label in method.labels(full, errors)]
    for part, first in (("decoder", 0), ("encoder", 5)):
        assert_close(labels[first], losses[f"label_{part}"], MAPS)
        taught = np.take_along_axis(
            np.concatenate([backend.array(sigmoid) for sigmoid in full[first : first + 5]], axis=1),
            losses[f"label_{part}_index"].astype(np.int64) % 5,
            axis=1,
        )
        assert_close(labels[first], taught, "float64")


def test_the_errors_of_hints_and_of_the_other_view(backend, losses, inputs):
    photometric = backend.module("losses.photometric").PhotometricError
    hints = backend.module("losses.hints")
    error, batch = photometric(inputs.batch["image_0_0"]), inputs.batch
    geometry = backend.module("geometry")
    warped = geometry.warp(batch["image_s_0"], batch["hint"], batch["K"], batch["T_stereo"])
    assert_close(backend.array(warped)[:1], losses["warped_hint"], MAPS)
    assert_close(
        backend.array(hints.hint_error(error(warped), batch["hint"])), losses["hint_error"], (0, 1e-4)
    )
    inside = losses["hint_error"] < 1000
    assert 0.3 < inside.mean() < 1
    found = backend.array(hints.hint_error(error(warped), batch["hint"]))
    assert_close(found[inside], losses["hint_error"][inside], MAPS)
    still = backend.array(error(batch["image_s_0"]))
    for output in (0, 9):
        noise = 1e-5 * backend.array(inputs.noise(f"noise/{output}", (2, 1, 64, 192), "normal"))
        assert_close(still + noise, losses[f"identity_error_with_noise_{output}"], MAPS)


def test_without_noise(backend, losses, inputs):
    """As in a validation."""
    found, _ = inputs.variant(
        "hint", draw=lambda name, shape, kind: backend.tensor(np.zeros(shape, np.float32))
    )
    assert_close(number(backend, found.loss), losses["hint_without_noise/total"], SCALARS)
    parts = number(backend, found.terms["photometric"]) + number(backend, found.terms["hint"])
    assert_close(parts, losses["hint_without_noise/reprojection_plus_hint"].mean(), SCALARS)
    method = inputs.method(lambda *_: pytest.fail("drawn in evaluation"), **VARIANTS["hint"])
    method.eval()
    again = method.stereo_losses(inputs.batch, inputs.sigmoids(10))
    assert number(backend, again.loss) == number(backend, found.loss)


def test_the_other_sampling(backend, losses, inputs):
    found, sigmoids = inputs.variant("recommended", gradient=True, align_corners=False)
    name = "recommended_align_corners_false"
    assert_close(number(backend, found.loss), losses[f"{name}/total"], SCALARS)
    norms = [np.linalg.norm(gradient) for gradient in backend.gradients(found.loss, sigmoids)]
    assert_close(norms, losses[f"{name}/gradient_norm"], GRADIENTS)
    warped = backend.array(found.maps["warped_s_0"])
    assert_close(warped[:, :, ::4, ::4], losses[f"{name}/warped_0_stride4"], MAPS)


def test_single_precision(backend, losses, arrays):
    """Near ties fall otherwise, so it is only near."""
    inputs = Inputs(backend, losses, arrays, "float32")
    for name, expected in zip(losses["float32_names"].tolist(), losses["float32_total"], strict=True):
        found, sigmoids = inputs.variant(name, gradient=name == "recommended")
        assert_close(number(backend, found.loss), expected, (1e-3, 0), label=name)
        if name == "recommended":
            winner = backend.array(found.maps["winner_0"])
            assert np.mean(winner == losses["winner"][0]) >= 0.998
            decided = losses["winner_0_decided"].astype(bool)
            np.testing.assert_array_equal(winner[decided], losses["winner"][0][decided])
            for output, gradient in enumerate(backend.gradients(found.loss, sigmoids)):
                exact = losses[f"recommended/gradient_{output}"]
                assert np.linalg.norm(gradient - exact) <= 0.1 * np.linalg.norm(exact), output
            outputs = [found.maps[f"sigmoid_{output}"] for output in range(10)]
            errors = [found.maps[f"reprojection_{output}"] for output in range(10)]
            labels = inputs.method(**VARIANTS[name]).labels(outputs, errors)
            for part, first in (("decoder", 0), ("encoder", 5)):
                decided = losses[f"label_{part}_decided"].astype(bool)
                label = backend.array(labels[first])
                assert_close(label[decided], losses[f"label_{part}"][decided], (0, 1e-5))


# ---- data grafting -----------------------------------------------------------------------------------------------


def order_of(permutations, group):
    """Uniform numbers whose order inside each group is a permutation."""
    order = np.zeros(len(group), np.float32)
    for value, permutation in enumerate(permutations):
        members = np.flatnonzero(group == value)
        for place, index in enumerate(permutation):
            order[members[index]] = (place + 0.5) / len(group)
    return order


@pytest.mark.parametrize("groups", ["side", "sign"])
def test_where_grafted_rows_come_from(backend, grafting, groups):
    module = backend.module("methods.epcdepth")
    group = grafting[f"by_{groups}/group"]
    sides = grafting["side"] == 3 if groups == "side" else grafting["T_source_target"][:, 0, 3] > 0
    if not np.array_equal(sides, group.astype(bool)):  # which group is the first is nobody's business
        assert np.array_equal(~sides, group.astype(bool))
    marked = np.stack(
        [np.broadcast_to(np.arange(6)[:, None], (6, 20)), np.broadcast_to(np.arange(20), (6, 20))], axis=1
    )[..., None].astype(np.float32)
    for number in range(10):
        case = f"by_{groups}/case_{number}"
        permutations = [grafting[f"{case}/permutation_{which}_group"] for which in ("first", "second")]
        order = backend.tensor(order_of(permutations, group))
        partner = module.partners(backend.tensor(group.astype(bool)), order)
        rows = module.kept_rows(float(grafting[f"{case}/ratio"]), 20)
        roll = rows if grafting[f"{case}/roll"] else 0
        scalars = [backend.tensor(np.array(value, np.int64)) for value in (rows, roll)]
        found = backend.array(module.graft(backend.tensor(marked), partner, *scalars))
        np.testing.assert_array_equal(found[:, 0, :, 0], grafting[f"{case}/sample_of_row"], case)
        np.testing.assert_array_equal(found[:, 1, :, 0], grafting[f"{case}/row_of_row"], case)


def test_rows_that_stay(backend, grafting):
    module = backend.module("methods.epcdepth")
    for height, expected in zip(grafting["heights"].tolist(), grafting["rows_kept"].tolist(), strict=True):
        assert [module.kept_rows(ratio, height) for ratio in module.GRAFT_RATIOS] == expected


def test_a_recorded_batch(backend, arrays, grafting, inputs):
    """By the camera, through `prepare`, with the draws that give the recorded case."""
    names = {
        **{"image_0_0": "target", "augmented_0": "target_augmented"},
        **{"image_s_0": "source", "hint": "depth_hint"},
    }
    batch = {}
    for key, name in names.items():
        channels = 1 if key == "hint" else 3
        batch[key] = arrays.uniform(f"epcdepth/graft/{name}", (6, channels, 20, 24), 0, 1)
    batch |= {"side": np.where(grafting["side"] == 2, -1, 1), "T_stereo": grafting["T_source_target"]}
    batch["K"] = np.eye(3, dtype=np.float32)[None].repeat(6, axis=0)
    group = grafting["by_side/group"]
    order = order_of([grafting[f"batch/permutation_{which}_group"] for which in ("first", "second")], group)
    ratio, roll = float(grafting["batch/ratio"]), bool(grafting["batch/roll"])
    drawn = {
        "graft/order": order,
        "graft/cut": np.array([ratio + 0.1, 0.25 if roll else 0.75], np.float32),
    }
    method = inputs.method(
        lambda name, shape, kind: backend.tensor(drawn[name].reshape(shape)),
        use_data_graft=True,
        graft_groups="side",
    )
    tensors = {name: backend.tensor(array) for name, array in batch.items()}
    found = method.prepare(tensors)
    for key, name in names.items():
        np.testing.assert_array_equal(
            backend.array(found[key])[:, :1, :, ::2], grafting[f"batch/{name}"], err_msg=name
        )
    assert all(found[name] is tensors[name] for name in ("side", "T_stereo", "K"))
    assert inputs.method().prepare(tensors) is tensors


def test_a_flipped_sample_is_grafted_with_its_own_sign(backend, inputs):
    """The published grouping gives parts a wrong baseline; ours keeps the sign of every row."""
    sign = np.array([-1, 1, -1, 1], np.float32)
    image = np.broadcast_to(sign[:, None, None, None], (4, 1, 10, 3)).copy()
    T = np.tile(np.eye(4, dtype=np.float32), (4, 1, 1))
    T[:, 0, 3] = 0.1 * sign
    batch = {"image_0_0": image, "T_stereo": T, "K": T[:, :3, :3], "side": np.array([-1, -1, 1, 1])}
    drawn = {
        "graft/order": np.array([0.9, 0.8, 0.1, 0.2], np.float32),
        "graft/cut": np.array([0.5, 0.9], np.float32),
    }
    tensors = {name: backend.tensor(array) for name, array in batch.items()}
    kept = {}
    for groups in ("sign", "side"):
        method = inputs.method(
            lambda name, shape, kind: backend.tensor(drawn[name].reshape(shape)),
            use_data_graft=True,
            graft_groups=groups,
        )
        kept[groups] = np.array_equal(backend.array(method.prepare(tensors)["image_0_0"]), image)
    assert kept == {"sign": True, "side": False}


# ---- training ----------------------------------------------------------------------------------------------------


def run_steps(backend, golden, arrays, dtype, steps=None):
    """The recorded training: its numbers, the method after these steps, the losses of each, the first step's extras.

    The first so many steps, the last of which updates nothing; none: all, updates too.
    """
    recorded, names = dict(golden("epcdepth/training.npz")), golden("epcdepth/names.json")
    options = EPCDepthOptions(
        **{"use_full_scale": True, "use_depth_hints": True, "use_spp_distillate": True},
        **{"height": 64, "width": 192, "weights_init": "scratch"},
    )
    step = 0

    def noise(name, shape, kind):
        number = name.removeprefix("noise/")
        return backend.tensor(arrays.uniform(f"epcdepth/training/noise/{step}/{number}", tuple(shape), -2, 2))

    method = backend.module("methods.epcdepth").EPCDepth(options, noise)
    for part, gain in (("encoder", 1.0), ("decoder", 0.8)):
        kind = "encoder18" if part == "encoder" else "full_scale_decoder18"
        shapes = {name: tuple(shape) for name, shape in names[kind].items() if ".fc." not in name}
        all_shapes = {name: tuple(shape) for name, shape in names[kind].items()}
        made = arrays.weights(all_shapes, f"epcdepth/training_{part}", gain)
        state = {name: made[name].copy() for name in shapes}
        for name in state:
            if name.endswith(".bias") and (".disp.0." in name or name.startswith("disps.")):
                state[name] -= np.float32(3.5)
        backend.fill(method.encoder if part == "encoder" else method.depth, state)
    if dtype == "float64":
        backend.to_float64(method)
    method.train()
    optimizer = None if steps == 1 else backend.adam(method.parameter_groups(), 1e-4)
    losses, first = [], {}
    for step in range(steps or len(recorded["spread_relative"])):
        batch = f"batch_{step % 3}"
        inputs = {
            f"image_{frame}_0": planes(recorded[f"{batch}/{name}"])
            + arrays.uniform(f"epcdepth/training/dither/{step % 3}/{name}", (2, 3, 64, 192), -0.004, 0.004)
            for frame, name in ((0, "target"), ("s", "source"))
        }
        inputs |= {
            "augmented_0": planes(recorded[f"{batch}/target_augmented"]),
            "hint": recorded[f"{batch}/depth_hint"],
            "T_stereo": recorded[f"{batch}/T_source_target"],
            "K": recorded[f"{batch}/K"][:, :3, :3],
        }
        tensors = {name: backend.tensor(array.astype(dtype)) for name, array in inputs.items()}
        found = method.losses(tensors)
        distilled = number(backend, found.terms["distillation"])
        total = number(backend, found.loss)
        losses.append({"total": total, "base": total - distilled, "distillation": distilled})
        if step == 0:
            first["sigmoid"] = backend.array(found.maps["sigmoid_0"])
            parameters = [
                (part, name.partition("/")[2], parameter)
                for part, network in (("encoder", method.encoder), ("decoder", method.depth))
                for name, parameter in backend.module("checkpoint").named_parameters({part: network})
            ]
        if step + 1 == steps:
            gradients = backend.gradients(found.loss, [parameter for _, _, parameter in parameters])
        else:
            backend.step(optimizer, found.loss)
            gradients = [backend.array(parameter.grad) for _, _, parameter in parameters]
        if step == 0:
            first["gradients"] = {
                (part, name): gradient
                for (part, name, _), gradient in zip(parameters, gradients, strict=True)
            }
    return recorded, method, losses, first


def check_steps(recorded, losses, dtype):
    """In float32 within three times what the recorded total moved by in that precision, or the term of the labels."""
    columns = [column.removeprefix("loss_") for column in recorded["loss_columns"].tolist()]
    moved = np.abs(recorded["float32/losses"] / recorded["float64/losses"] - 1)
    assert_close(moved[:, columns.index("total")], recorded["spread_relative"], (1e-6, 0))
    for step, found in enumerate(losses):
        for number, name in enumerate(columns):
            spread = moved[step, number] if name == "distillation" else recorded["spread_relative"][step]
            bound = 1e-4 if dtype == "float64" else max(3 * spread, 1e-3)
            expected = recorded[f"{dtype}/losses"][step, number]
            assert_close(found[name], expected, (bound, 0), label=f"step {step}, {name}")


def test_the_first_recorded_step(backend, golden, arrays, monkeypatch):
    """All six: tests/slow. An error map costs time: one for each output, the hint and the other view as it is."""
    photometric = backend.module("losses.photometric").PhotometricError
    compute, computed = photometric.__call__, []
    monkeypatch.setattr(
        photometric, "__call__", lambda self, view: computed.append(view) or compute(self, view)
    )
    warp, warped = backend.module("geometry").warp, []
    monkeypatch.setattr(
        backend.module("geometry"), "warp", lambda *arguments: warped.append(1) or warp(*arguments)
    )
    recorded, _, losses, first = run_steps(backend, golden, arrays, "float64", 1)
    assert (len(computed), len(warped)) == (10 + 2, 10 + 1)
    check_steps(recorded, losses, "float64")
    assert_close(first["sigmoid"], recorded["first_step/sigmoid_0_upsampled"], (0, 1e-5))
    for part in ("encoder", "decoder"):
        names = recorded[f"first_step/gradient_names_{part}"].tolist()
        for name, row in zip(names, recorded[f"first_step/gradient_statistics_{part}"], strict=True):
            norm = np.linalg.norm(first["gradients"][part, name])
            assert_close(norm, row[1], (5e-2, 1e-12), label=name)
