"""SC-Depth's geometry, losses and training against the recorded numbers of the published programs."""

from functools import cache

import numpy as np
import pytest

from core.options.methods.sc_depth import SCDepthOptions
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

TERMS = 1e-4  # relative, of a loss term
# Of the recorded ten. In single precision the second one is after an update; in double, of the recorded weights, what
# rounding would hide shows in the first.
STEPS = {"float32": 2, "float64": 1}


@pytest.fixture(scope="module")
def geometry(golden):
    return dict(golden("sc_depth/geometry.npz"))


@pytest.fixture(scope="module")
def losses(golden):
    return dict(golden("sc_depth/losses.npz"))


def normalised(images):
    """uint8 (N, H, W, 3) → float32 (N, 3, H, W)."""
    return ((images.transpose(0, 3, 1, 2).astype(np.float32) / 255 - 0.45) / 0.225).astype(np.float32)


def preset(name, **values):
    """Options of a compatibility preset, with others over it."""
    return SCDepthOptions(**{**SCDepthOptions.PRESETS[name], "compatibility": name, **values})


# ---- geometry ----------------------------------------------------------------------------------------------------


def test_rotations_and_transforms(backend, geometry):
    module = backend.module("geometry")
    angles = backend.tensor(geometry["angles"])
    for name in ("rotation_euler", "rotation_euler_seed"):
        assert_close(backend.array(module.euler_rotation(angles)), geometry[name], (0, 1e-6))
    assert_close(backend.array(module.rotation_matrix(angles)), geometry["rotation_axis_angle"], (0, 1e-6))
    T = backend.module("methods.sc_depth").pose_transform(backend.tensor(geometry["poses"]))
    assert_close(backend.array(T), geometry["T"], (0, 1e-6))


def warped(backend, options, image, depths, pose, K):
    """Image, projected and computed depth, and the relative difference of source warped into target."""
    consistency = backend.module("losses.consistency")
    T = backend.module("methods.sc_depth").pose_transform(backend.tensor(pose))
    source, target = (backend.tensor(depth) for depth in depths)
    switches = consistency.Switches.of(options)
    found = consistency.warp(backend.tensor(image), source, target, T, backend.tensor(K), switches)
    difference = consistency.relative_depth_difference(found, switches.difference_epsilon)
    return found, backend.array(difference)


def test_an_identity_pose_is_not_the_identity(backend, geometry):
    """As published; with corners aligned it is."""
    depth = np.full((1, 1, 4, 5), 2, np.float32)
    inputs = geometry["identity_source"], (depth, depth), np.zeros((1, 6), np.float32), geometry["identity_K"]
    found, _ = warped(backend, SCDepthOptions(), *inputs)
    for name in ("image", "projected_depth", "computed_depth"):
        expected = geometry[f"identity_{'warped' if name == 'image' else name}"]
        assert_close(backend.array(getattr(found, name)), expected, (0, 1e-5), label=name)
    found, difference = warped(backend, SCDepthOptions(align_corners=True), *inputs)
    assert_close(backend.array(found.image), geometry["identity_source"], (0, 1e-5))
    assert np.abs(difference).max() < 1e-6


@pytest.mark.parametrize("case", ["near", "wide", "behind"])
@pytest.mark.parametrize("program", ["official", "release2021", "corrected"])
def test_warps(backend, geometry, case, program):
    suffix = "_release2021" if program == "release2021" else ""
    if f"{case}_warped{suffix}" not in geometry:
        return  # recorded of the wide and behind cases only
    image = normalised(geometry["images"])
    depths = geometry["source_depth"], geometry["target_depth"]
    inputs = image[2:], depths, geometry[f"{case}_pose"], geometry["K"]
    found, difference = warped(backend, preset(program), *inputs)
    in_front = geometry[f"{case}_in_front"].astype(bool)
    counts = in_front if program == "corrected" else np.ones_like(in_front)
    for name, bound in (("image", 5e-4), ("projected_depth", 5e-3), ("computed_depth", 1e-4)):
        recorded = geometry[f"{case}_{'warped' if name == 'image' else name}{suffix}"]
        pixels = np.broadcast_to(counts, recorded.shape)
        assert_close(backend.array(getattr(found, name))[pixels], recorded[pixels], (0, bound), label=name)
    if program == "corrected":
        assert np.array_equal(backend.array(found.in_front), in_front)
        expected = np.where(in_front, geometry[f"{case}_relative_depth_difference"], 0)
        assert_close(difference, expected, (0, 1e-3), share=0.9995)
        assert np.isfinite(difference).all() and difference[~in_front].max(initial=0) == 0


@pytest.mark.parametrize("case", ["near", "wide", "behind"])
def test_valid_pixels(backend, geometry, case):
    """Those that are there in both images, and before the camera."""
    consistency = backend.module("losses.consistency")
    image = normalised(geometry["images"])
    views = [
        consistency.View.of(backend.tensor(image[rows]), backend.tensor(geometry[f"{name}_depth"]), False)
        for rows, name in ((slice(0, 2), "target"), (slice(2, 4), "source"))
    ]
    T = backend.module("methods.sc_depth").pose_transform(backend.tensor(geometry[f"{case}_pose"]))
    for program in ("official", "corrected"):
        switches = consistency.Switches.of(preset(program, auto_mask=False, ssim=False))
        maps = consistency.pair_maps(*views, T, backend.tensor(geometry["K"]), switches)
        expected = geometry[f"{case}_valid"].astype(bool)
        if program == "corrected":
            expected = expected & geometry[f"{case}_in_front"].astype(bool)
        assert np.mean(backend.array(maps.valid) != expected) <= 5e-4, program


def test_points_behind_the_camera_give_finite_gradients(backend, geometry):
    """Where the published formulas divide by nothing at all."""
    consistency = backend.module("losses.consistency")
    image = normalised(geometry["images"])
    depth = backend.tensor(np.full_like(geometry["target_depth"], 2), gradient=True)
    T = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    T[0, 2, 3] = -2  # exactly into the camera's plane
    T[1, 2, 3] = -3  # behind it
    pose = backend.tensor(T, gradient=True)
    target = consistency.View.of(backend.tensor(image[:2]), depth, True)
    source = consistency.View.of(backend.tensor(image[2:]), backend.tensor(geometry["source_depth"]), True)
    maps = consistency.pair_maps(target, source, pose, backend.tensor(geometry["K"]), consistency.Switches())
    assert not backend.array(maps.valid).any()
    total = maps.photometric_error.sum() + maps.relative_depth_difference.sum() + maps.color_error.sum()
    for gradient in backend.gradients(total, [depth, pose]):
        assert np.isfinite(gradient).all()


# ---- losses ------------------------------------------------------------------------------------------------------


class Inputs:
    """What the losses are of, as tensors that gradients may be asked for."""

    def __init__(self, backend, recorded, arrays, dtype="float32", static=False):
        image = normalised(recorded["images"])
        image = image + arrays.uniform("sc_depth/loss_noise", image.shape, -0.05, 0.05)
        plain = (image.astype(np.float64) * 0.225 + 0.45).astype(dtype)
        target, sources = recorded["target_index"], recorded["source_index"]
        self.backend, self.module = backend, backend.module("methods.sc_depth")
        self.images = {0: backend.tensor(plain[target])}
        self.depths = {0: self._tensor(recorded["target_depth"], dtype)}
        self.poses, self.exchanged = [], []
        for k, frame in enumerate((-1, 1)):
            self.images[frame] = self.images[0] if static else backend.tensor(plain[sources[:, k]])
            self.depths[frame] = self._tensor(recorded["source_depths"][k], dtype)
            self.poses.append(self._tensor(recorded["poses"][k], dtype))
            self.exchanged.append(self._tensor(recorded["poses_exchanged"][k], dtype))
        self.K = backend.tensor(recorded["K"].astype(dtype))

    def _tensor(self, array, dtype):
        return self.backend.tensor(array.astype(dtype), gradient=True)

    def losses(self, options):
        motions = {
            frame: (self.module.pose_transform(pose), self.module.pose_transform(back))
            for frame, pose, back in zip((-1, 1), self.poses, self.exchanged, strict=True)
        }
        return self.module.consistency_losses(options, self.images, self.depths, motions, self.K)

    def terms(self, options):
        """Photometric, geometry, smoothness as the options weigh them, and the total."""
        found = self.losses(options)
        terms = [found.terms[name] for name in ("photometric", "geometry", "smoothness")]
        return np.array([float(self.backend.array(term)) for term in (*terms, found.loss)]), found

    def gradients(self, scalar):
        """With respect to poses, exchanged poses, target depth and source depths, (S, …) each."""
        inputs = [*self.poses, *self.exchanged, *self.depths.values()]
        found = self.backend.gradients(scalar, inputs)
        return {
            "poses": np.stack(found[:2]),
            "poses_exchanged": np.stack(found[2:4]),
            "target_depth": found[4],
            "source_depths": np.stack(found[5:]),
        }


@pytest.fixture(scope="module")
def inputs(backend, losses, arrays):
    made = cache(lambda dtype="float32", static=False: Inputs(backend, losses, arrays, dtype, static))
    return made


def pairs(backend, inputs, options):
    """The maps of the four directed pairs, in the recorded order."""
    consistency = backend.module("losses.consistency")
    switches = consistency.Switches.of(options)
    views = {
        frame: consistency.View.of((image - 0.45) / 0.225, inputs.depths[frame], switches.ssim)
        for frame, image in inputs.images.items()
    }
    found = []
    for frame, pose, back in zip((-1, 1), inputs.poses, inputs.exchanged, strict=True):
        for one, other, vector in ((0, frame, pose), (frame, 0, back)):
            T = inputs.module.pose_transform(vector)
            found.append(consistency.pair_maps(views[one], views[other], T, inputs.K, switches))
    return found


def test_maps_of_the_pairs(backend, losses, inputs):
    for suffix, values in {
        "": {},
        "_no_ssim": {"ssim": False},
        "_unmasked": {"self_discovered_mask": False},
    }.items():
        maps = pairs(backend, inputs(), SCDepthOptions(**values))
        error = np.stack([backend.array(pair.photometric_error) for pair in maps])
        assert_close(error, losses[f"pair_photometric_error{suffix}"], (0, 2e-3), share=0.999)
        means = error.reshape(4, -1).mean(axis=1)
        assert_close(means, losses[f"pair_mean_photometric_error{suffix}"], (1e-3, 0))
    maps = pairs(backend, inputs(), SCDepthOptions())
    named = {
        "warped": [pair.warped.image for pair in maps],
        "projected_depth": [pair.warped.projected_depth for pair in maps],
        "computed_depth": [pair.warped.computed_depth for pair in maps],
        "relative_depth_difference": [pair.relative_depth_difference for pair in maps],
        "color_error": [pair.color_error for pair in maps],
    }
    bounds = {"warped": 5e-3, "projected_depth": 5e-3, "computed_depth": 1e-4}
    for name, tensors in named.items():
        array = np.stack([backend.array(tensor) for tensor in tensors])
        recorded = losses[f"pair_{name}"]
        assert_close(array[: len(recorded)], recorded, (0, bounds.get(name, 2e-3)), share=0.999, label=name)
        means = array.reshape(4, -1).mean(axis=1)
        assert_close(means, losses[f"pair_mean_{name}"], (1e-3, 0), label=name)
    identity = [
        np.abs(backend.array(inputs().images[a]) - backend.array(inputs().images[b])).mean(1) / 0.225
        for frame in (-1, 1)
        for a, b in ((0, frame), (frame, 0))
    ]
    assert_close(np.stack(identity)[:, :, None], losses["pair_identity_error"], (0, 1e-5))
    for suffix, values in {"": {}, "_without_auto_mask": {"auto_mask": False}}.items():
        maps = pairs(backend, inputs(), SCDepthOptions(**values))
        valid = np.stack([backend.array(pair.valid) for pair in maps])
        assert np.mean(valid != losses[f"pair_valid{suffix}"].astype(bool)) <= 1e-3


def test_the_structure_error(backend, losses, inputs):
    photometric = backend.module("losses.photometric")
    side = backend.module("losses.consistency").WINDOW
    one, other = ((inputs().images[frame] - 0.45) / 0.225 for frame in (0, -1))
    channels = []  # each for itself: the error is a mean over channels
    for channel in range(3):
        target = photometric.window_statistics(one[:, channel : channel + 1], side)
        channels.append(photometric.weighted_error(other[:, channel : channel + 1], target, 1, 0))
    error = np.concatenate([backend.array(channel) for channel in channels], axis=1)
    assert_close(error[:1, :, :, :96], losses["ssim_error"], (0, 2e-3))  # as photometric errors


def test_the_minimum(backend, losses, inputs):
    consistency = backend.module("losses.consistency")
    maps = pairs(backend, inputs(), SCDepthOptions())
    index = np.concatenate([backend.array(pair.color_error) for pair in maps], 1).argmin(1)[:, None]
    assert np.mean(index != losses["selected_index"]) <= 1e-3
    error, difference, valid = (backend.array(part) for part in consistency.best(maps))
    same = index == losses["selected_index"]
    assert_close(error[same], losses["selected_photometric_error"][same], (0, 2e-3), share=0.999)
    assert_close(difference[same], losses["selected_relative_depth_difference"][same], (0, 2e-3), share=0.999)
    assert np.mean(valid != losses["selected_valid"].astype(bool)) <= 1e-3


def test_settings(losses, inputs):
    """Everything on, all but one, and nothing; in tests/slow all sixteen, whose terms the next test has."""
    check_settings(
        losses, inputs, [row for row, on in enumerate(losses["variant_options"]) if sum(on) in (0, 3, 4)]
    )


def check_settings(losses, inputs, rows):
    """Terms, and gradients of the total, in single precision."""
    weights, all_switches = losses["weights"][0], losses["variant_options"].astype(bool).tolist()
    assert len(rows) >= 6
    for row in rows:
        switches = all_switches[row]
        names = ("ssim", "auto_mask", "self_discovered_mask", "minimum")
        options = weighted(weights, **dict(zip(names, switches, strict=True)))
        terms, found = inputs().terms(options)
        expected = [losses[f"variant_{name}"][row] for name in ("photometric", "geometry", "total")]
        actual = [terms[0] / weights[0], terms[1] / weights[1], terms[3]]
        for value, recorded, name in zip(actual, expected, ("photometric", "geometry", "total"), strict=True):
            assert_close(value, recorded, (TERMS, 0), label=f"{switches} {name}")
        gradients = inputs().gradients(found.loss)
        for name in ("pose", "pose_exchanged"):
            recorded = losses[f"variant_{name}_gradient"][row]
            assert_close(
                gradients[name.replace("pose", "poses")], recorded, (1e-2, 0), label=f"{switches} {name}"
            )
        norm = np.linalg.norm(gradients["target_depth"])
        assert_close(norm, losses["variant_target_depth_gradient_norm"][row], (1e-2, 0))
        norms = [np.linalg.norm(gradient) for gradient in gradients["source_depths"]]
        assert_close(np.array(norms), losses["variant_source_depth_gradient_norm"][row], (1e-2, 0))


def weighted(weights, **values):
    """Official formulas with these weights."""
    names = ("photometric_weight", "geometry_weight", "smoothness_weight")
    return SCDepthOptions(**dict(zip(names, map(float, weights), strict=True)), **values)


def test_all_sixteen_settings_in_double_precision(losses, inputs):
    weights = losses["weights"][0]
    for row, switches in enumerate(losses["variant_options"].astype(bool).tolist()):
        names = ("ssim", "auto_mask", "self_discovered_mask", "minimum")
        terms, _ = inputs("float64").terms(weighted(weights, **dict(zip(names, switches, strict=True))))
        actual = np.array([terms[0] / weights[0], terms[1] / weights[1], terms[3]])
        for value, recorded in zip(actual, losses["variant_float64"][row], strict=True):
            assert_close(value, recorded, (TERMS, 0), label=str(switches))


def test_weights_and_gradients_of_single_terms(losses, inputs):
    for weights, total in zip(losses["weights"], losses["total_of_weights"], strict=True):
        terms, _ = inputs().terms(weighted(weights))
        assert_close(terms[3], total, (TERMS, 0), label=str(weights))
    for name, weights in {
        "photometric": (1, 0, 0),
        "geometry": (0, 1, 0),
        "smoothness": (0, 0, 1),
        "total": losses["weights"][0],
    }.items():
        terms, found = inputs().terms(weighted(weights))
        if name == "smoothness":
            assert_close(terms[2], losses["smoothness"], (1e-5, 0))
        gradients = inputs().gradients(found.loss)
        for of, gradient in gradients.items():
            key = f"gradient_{name}_{of}"
            if key in losses:
                check_gradient(of, gradient, losses[key], 1e-2, key)
    gradients = inputs("float64").gradients(inputs("float64").losses(weighted(losses["weights"][0])).loss)
    for of in ("poses", "poses_exchanged", "target_depth"):
        bound = 1e-2 if of == "target_depth" else 1e-3
        check_gradient(of, gradients[of], losses[f"float64_gradient_total_{of}"], bound, of)


def check_gradient(of, gradient, recorded, bound, label):
    """Of poses, all six numbers; of depths, 99 % of the pixels whose gradient is not next to nothing."""
    if "pose" in of:
        assert_close(gradient, recorded, (bound, 0), label=label)
        return
    large = np.abs(recorded) > 1e-3 * np.abs(recorded).max()
    relative = np.abs(gradient - recorded)[large] / np.abs(recorded)[large]
    assert np.mean(relative <= bound) >= 0.99, label


@pytest.mark.parametrize("program", ["release2021", "seed", "seed_fixed"])
def test_other_programs(losses, inputs, program):
    options = preset(program.removesuffix("_fixed"))
    if program == "seed_fixed":
        options.reverse_pair = "image"
    weights = options.photometric_weight, options.geometry_weight, options.smoothness_weight
    terms, found = inputs().terms(options)
    terms[:3] /= weights
    for value, recorded in zip(terms, losses[f"{program}_terms"], strict=True):
        assert_close(value, recorded, (TERMS, 0))
    gradients = inputs().gradients(found.loss)
    for of in ("poses", "poses_exchanged", "target_depth"):
        if f"{program}_gradient_{of}" in losses:
            check_gradient(of, gradients[of], losses[f"{program}_gradient_{of}"], 1e-2, of)


@pytest.mark.parametrize("suffix", ["", "_without_auto_mask"])
def test_a_standing_camera(losses, inputs, suffix):
    """All sources are the target's image."""
    terms, _ = inputs(static=True).terms(weighted((1, 1, 0), auto_mask=not suffix))
    for value, recorded in zip(terms[:2], losses[f"static_terms{suffix}"], strict=True):
        assert_close(value, recorded, (TERMS, 1e-7))


def test_the_minimum_over_the_target_plane(backend, inputs):
    """Of two maps of the target's plane the better, and the two of the sources' planes as they are."""
    consistency = backend.module("losses.consistency")
    options = SCDepthOptions(minimum_over="target")
    maps = pairs(backend, inputs(), options)
    found = [
        float(backend.array(term)) for term in consistency.pair_terms(maps, consistency.Switches.of(options))
    ]
    error, difference, valid, color = (
        np.stack([backend.array(getattr(pair, name)) for pair in maps]).astype(np.float64)
        for name in ("photometric_error", "relative_depth_difference", "valid", "color_error")
    )
    better = (color[2] < color[0])[None]
    for value, of in zip(found, (error, difference), strict=True):
        target, mask = (np.where(better, stack[2:3], stack[0:1]) for stack in (of, valid))
        values, masks = np.concatenate([target, of[1::2]]), np.concatenate([mask, valid[1::2]])
        assert_close(value, (values * masks).sum() / masks.sum(), (1e-5, 0))


def test_what_is_no_number_wins_the_minimum(backend):
    """So that the loss shows it; of equals the first wins."""
    consistency = backend.module("losses.consistency")
    one, other = (
        consistency.Maps(
            warped=None,
            relative_depth_difference=backend.tensor(np.full((1, 1, 1, 3), value)),
            color_error=backend.tensor(np.array(color).reshape(1, 1, 1, 3)),
            photometric_error=backend.tensor(np.array(color).reshape(1, 1, 1, 3)),
            valid=backend.tensor(np.full((1, 1, 1, 3), value > 1)),
        )
        for value, color in ((1.0, [0.5, 0.5, 0.5]), (2.0, [0.5, np.nan, 0.1]))
    )
    error, difference, valid = (backend.array(part) for part in consistency.best([one, other]))
    np.testing.assert_array_equal(error.ravel(), [0.5, np.nan, 0.1])
    np.testing.assert_array_equal(difference.ravel(), [1, 2, 2])
    np.testing.assert_array_equal(valid.ravel(), [False, True, True])


def test_too_few_valid_pixels_count_as_none(backend):
    consistency = backend.module("losses.consistency")
    values = backend.tensor(np.full((1, 1, 20, 20), 3.0), gradient=True)
    for count, expected in ((100, 0.0), (101, 3.0)):
        valid = (np.arange(400) < count).reshape(1, 1, 20, 20)
        mean = consistency.masked_mean(values, backend.tensor(valid))
        assert float(backend.array(mean)) == pytest.approx(expected)
        (gradient,) = backend.gradients(mean, [values])
        assert gradient.sum() == pytest.approx(1.0 if expected else 0.0)


# ---- training ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(backend, golden, arrays):
    """The first of the recorded steps; tests/slow takes all ten."""
    return run_steps(backend, golden, arrays, "float32", STEPS["float32"])


def run_steps(backend, golden, arrays, precision, steps=None):
    """The first so many steps, the last of which has no backward pass; none: all, updates too.

    Returns:
        The recorded arrays, the method at the end, terms and poses of each step, gradient norms of the first (none if
        it is the only one), images.
    """
    recorded, names = dict(golden("sc_depth/training.npz")), golden("sc_depth/names.json")
    weights = recorded["weights"]
    options = weighted(weights, height=64, width=192, batch_size=2)
    method = backend.module("methods").make_method(options)
    shapes = {
        prefix_and_name: tuple(shape)
        for network in ("depth_net", "pose_net")
        for prefix_and_name, shape in official_shapes(names, network).items()
    }
    state = arrays.weights(shapes, seed="sc_depth")
    for name, array in state.items():
        if name.endswith(".weight") and f"{name[:-7]}.running_mean" in state:
            state[name] = array / 2
    networks = method.networks()
    for name, network in networks.items():
        own = of_network(state, name)
        backend.module("checkpoint").load_network_state(network, own, name)
    if precision == "float64":
        backend.to_float64(method)
    image = normalised(recorded["images"])
    image = image + arrays.uniform("sc_depth/train_noise", image.shape, -0.05, 0.05)
    plain = (image.astype(np.float64) * 0.225 + 0.45).astype(precision)
    optimizer = backend.adam(method.parameter_groups(), float(recorded["learning_rate"]))
    method.train()
    terms, poses, norms = [], [], {}
    motion = method.motion
    for step, targets in enumerate(recorded["step_targets"][:steps]):
        batch = {f"image_{f}_0": backend.tensor(plain[targets + f]) for f in (0, -1, 1)}
        batch["K"] = backend.tensor(np.tile(recorded["K"].astype(precision), (len(targets), 1, 1)))
        vectors = []

        def noted(first, second, vectors=vectors):
            found = motion(first, second)
            vectors.append(backend.array(found).reshape(4, -1, 6))
            return found

        method.motion = noted
        losses = method.losses(batch)
        values = [losses.terms[name] for name in ("photometric", "geometry", "smoothness")]
        unweighted = [float(backend.array(v)) / w for v, w in zip(values, weights, strict=True)]
        terms.append([*unweighted, float(backend.array(losses.loss))])
        poses.append(vectors[0])
        if step + 1 != steps:
            backend.step(optimizer, losses.loss)
        if step == 0 and steps != 1:
            parameters = dict(backend.module("checkpoint").named_parameters(networks))
            norms = {
                name: 0.0 if parameter.grad is None else float(np.linalg.norm(backend.array(parameter.grad)))
                for name, parameter in parameters.items()
            }
    method.motion = motion
    return recorded, method, np.array(terms), np.array(poses), norms, plain


PREFIXES = {
    "encoder": "depth_net.encoder.",
    "depth": "depth_net.decoder.",
    "pose_encoder": "pose_net.encoder.",
    "pose": "pose_net.decoder.",
}


def official_shapes(names, network):
    """Names with their prefix, and shapes, without the unused classifier."""
    shapes = names["official"]["resnet18"][network]
    return {name: shape for name, shape in shapes.items() if ".fc." not in name}


def of_network(state, name):
    prefix = PREFIXES[name]
    return {key.removeprefix(prefix): array for key, array in state.items() if key.startswith(prefix)}


def check_steps(recorded, terms, poses):
    """The first step, of the same weights, closely; later ones as closely as training allows."""
    for value, expected in zip(terms[0], recorded["terms"][0], strict=True):
        assert_close(value, expected, (5e-5, 0))
    assert_close(poses[0], recorded["poses"][0], (0, 1e-6))
    for step in range(1, len(terms)):
        for value, expected in zip(terms[step], recorded["terms"][step], strict=True):
            assert_close(value, expected, (3e-3, 0), label=f"step {step}")
        assert_close(poses[step], recorded["poses"][step], (0, 3e-5), label=f"step {step}")


def test_the_recorded_steps(trained):
    recorded, _, terms, poses, _, _ = trained
    check_steps(recorded, terms, poses)


def official(name):
    """`encoder/encoder.conv1.weight` → the official name."""
    network, _, own = name.partition("/")
    return PREFIXES[network] + own


def test_gradients_of_the_first_step(trained):
    """Of every parameter; none of the heads that are not used."""
    recorded, _, _, _, norms, _ = trained
    expected = dict(
        zip(recorded["step0_gradient_names"].tolist(), recorded["step0_gradient_norm"], strict=True)
    )
    found = {official(name): norm for name, norm in norms.items()}
    assert {name for name in expected if ".fc." not in name} == set(found)
    for name, norm in found.items():
        assert_close(norm, expected[name], (1e-2, 1e-12), label=name)
    unused = [name for name in found if found[name] == 0]
    assert len(unused) == 6 and all(".dispconvs." in name for name in unused)


def test_the_first_step_in_double_precision(backend, golden, arrays):
    """Closer to the recorded one, so that a wrong grouping of the normalisation would show."""
    check_double_steps(*run_steps(backend, golden, arrays, "float64", STEPS["float64"])[:4])


def check_double_steps(recorded, _, terms, poses):
    """Those that were recorded in double precision."""
    for step, (row, pose) in enumerate(zip(terms, poses, strict=True)):
        for value, expected in zip(row, recorded["float64_terms"][step], strict=True):
            assert_close(value, expected, (1e-4, 0), label=f"step {step}")
        assert_close(pose, recorded["float64_poses"][step], (0, 1e-7))
