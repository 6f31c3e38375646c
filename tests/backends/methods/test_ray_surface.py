"""Neural ray surfaces: training against the recorded steps of the published program, its template and its schedules."""

import numpy as np
import pytest

from core.cameras.templates import write_template
from core.errors import UserError
from core.options.methods.ray_surface import RaySurfaceOptions
from core.parity.request import Request
from tests.backends.methods.test_ray_surface_geometry import pinhole
from tests.tolerances import assert_close

P = "golden/ray_surface"
SMALL = RaySurfaceOptions.SMALL
LOSS = {"float64": (1e-9, 0), "float32": (1e-4, 0)}
# Gradient norms of each step; in single precision the minimum over views switches, so the last is not compared.
NORMS = {"float64": [(1e-7, 0)] * 3, "float32": [(2e-3, 0), (3e-2, 0), None]}
# Maps at the end of so many samples' training.
FINAL = {1: {"float64": (1e-6, 0), "float32": (2e-2, 0)}, 2: {"float64": (1e-6, 0), "float32": (2e-3, 0)}}


def make(backend, **values):
    """A method whose training begins."""
    method = backend.module("methods").make_method(RaySurfaceOptions(**{**SMALL, **values}))
    method.complete(beginning=True)
    return method


# ---- recorded numbers ------------------------------------------------------------------------------------


def run_steps(backend, golden, arrays, precision, count, steps):
    """The first so many of the recorded steps of `count` samples; only all of them end with an update.

    Returns:
        The recorded arrays, the method at the end, of each step loss, terms, gradient norms and motions, and the last
        target.
    """
    recorded, names = dict(golden("ray_surface/training.npz")), golden("ray_surface/names.json")
    options = {"height": 96, "width": 128, "patch_side": 20, "num_scales": 4, "projection_chunk": 1}
    options["temperature_progress"] = "fraction"
    method = make(backend, **options, batch_size=count)
    for file, network in (("depth", "ray_surface_resnet_18"), ("pose", "pose_resnet_18")):
        shapes = {name: tuple(shape) for name, shape in names[network].items()}
        state = arrays.weights(shapes, f"{P}/training/{file}_net", 0.8)
        template = {
            name: array
            for name, array in backend.module("checkpoint").network_state(method.networks()[file]).items()
            if name in ("ray_template", "valid")
        }
        backend.fill(
            method.networks()[file], {key: a for key, a in state.items() if ".fc." not in key} | template
        )
    if precision == "float64":
        backend.to_float64(method)
    method.train()
    named = dict(backend.module("checkpoint").named_parameters(method.networks()))
    optimizer = backend.adam(method.parameter_groups(), 1e-5)
    texture = arrays.smooth(f"{P}/training_texture", (6, 3, 112, 144), (7, 9), 0, 1).astype(precision)
    rows = []
    for step in range(steps):
        planes = texture[2 * step : 2 * step + count]
        places = {0: (8, 8), -1: (3, 2), 1: (13, 14)}
        images = {f: planes[..., top : top + 96, left : left + 128] for f, (top, left) in places.items()}
        batch = {f"image_{frame}_0": backend.tensor(image) for frame, image in images.items()}
        method.progress = float(recorded["progress"][step])
        losses = method.losses(batch)
        (optimizer.zero_grad if backend.name == "torch" else optimizer.clear_grad)()
        losses.loss.backward()
        squares = {
            name: np.square(backend.array(p.grad), dtype=np.float64).sum() for name, p in named.items()
        }
        norms = [
            np.sqrt(sum(square for name, square in squares.items() if name.startswith(part)))
            for part in ("depth/encoder.", "depth/decoder.", "depth/ray_surf.", "pose/")
        ]
        terms = [float(backend.array(losses.terms[name])) for name in ("photometric", "smoothness")]
        rows.append({"loss": float(backend.array(losses.loss)), "terms": terms, "norms": norms})
        if steps == len(recorded[f"batch_{count}/loss"]):
            optimizer.step()
    return recorded, method, rows, backend.tensor(images[0])


def check_rows(recorded, rows, precision, count):
    own = f"batch_{count}/float32" if precision == "float32" else f"batch_{count}"
    for step, row in enumerate(rows):
        assert_close(row["loss"], recorded[f"{own}/loss"][step], LOSS[precision])
        for name, term in zip(("photometric_loss", "smoothness_loss"), row["terms"], strict=True):
            assert_close(term, recorded[f"batch_{count}/{name}"][step], LOSS[precision], label=name)
        bound = NORMS[precision][step]
        for found, wanted in zip(row["norms"], recorded[f"{own}/gradient_norm"][step], strict=True):
            if bound:
                assert_close(found, wanted, bound)
    assert rows[0]["norms"][2] == 0


def check_end(backend, recorded, names, method, target, precision, count):
    """What the trained networks find for the last target, and their tensors."""
    method.eval()
    with backend.no_gradients():
        found = method.depth(target)
    bound = FINAL[count][precision]
    for map_, name in ((found.disparities[0], "inverse_depth"), (found.ray_residual, "residual")):
        wanted = recorded[f"batch_{count}/final_{name}"]
        assert_close(backend.array(map_)[..., ::2, ::2], wanted, bound, label=name)
    if precision == "float32":
        return
    state = backend.module("checkpoint").network_state(method.depth)
    floating = [name for name in names["ray_surface_resnet_18"] if not name.endswith("num_batches_tracked")]
    for name, sums in zip(floating, recorded[f"batch_{count}/final_depth_statistics"], strict=True):
        if ".fc." not in name:
            wide = state[name].astype(np.float64)
            assert_close([wide.sum(), abs(wide).sum()], sums, (0, 1e-6 * sums[1]), label=name)


@pytest.mark.every_device
def test_the_first_recorded_step(backend, golden, arrays):
    """In double precision, of one sample; the others are compared in tests/slow."""
    recorded, _, rows, _ = run_steps(backend, golden, arrays, "float64", 1, 1)
    check_rows(recorded, rows, "float64", 1)


# ---- the template ----------------------------------------------------------------------------------------


def test_the_template_lies_in_the_file(backend, tmp_path):
    """It is read when a training begins, and is there without its file afterwards."""
    rays, valid = pinhole(64, 64, 50, 50, 31, 30), np.ones((64, 64), bool)
    valid[:8] = False
    write_template(tmp_path / "rays.npz", rays, valid)
    method = make(backend, template=[str(tmp_path / "rays.npz")])
    checkpoint = backend.module("checkpoint")
    checkpoint.save_networks(method.networks(), tmp_path, method.scalars())
    (tmp_path / "rays.npz").unlink()
    other = backend.module("methods").make_method(RaySurfaceOptions(**{**SMALL, "template": ["rays.npz"]}))
    checkpoint.load_networks(other.networks(), tmp_path, other.networks())
    other.complete({"depth": {"progress": 0.25}})
    assert other.masked and other.progress == 0.25
    image = backend.tensor(np.zeros((2, 3, 64, 64), np.float32))
    other.eval()
    other.progress = 0.0
    with backend.no_gradients():
        found = {name: backend.array(tensor) for name, tensor in other.predict({"image": image}).items()}
    assert set(found) == {"disparity", "rays", "valid"}
    assert_close(found["rays"], np.stack([rays, rays]), (1e-6, 0))
    np.testing.assert_array_equal(found["valid"][:, 0], np.stack([valid, valid]))


def test_a_template_must_be_named(backend):
    with pytest.raises(UserError, match="--template is missing"):
        make(backend, template=None)


def test_a_training_begins_with_the_template_that_it_names(backend, tmp_path):
    """Whatever its first weights brought."""
    method = make(backend)
    method.options.template = ["pinhole", "50", "50", "31", "30"]
    method.complete()
    dummy = backend.array(method.depth.ray_template).copy()
    method.complete(beginning=True)
    named = backend.array(method.depth.ray_template)
    assert abs(named - dummy).max() > 0.01
    assert_close(named[0], pinhole(64, 64, 50, 50, 31, 30), (1e-6, 0))


# ---- schedules, masks, known rays ------------------------------------------------------------------------


def test_known_rays_are_not_trained(backend):
    method = make(backend, learn_rays=False)
    method.progress = 1.0
    trained = {id(p) for group in method.parameter_groups() for p in group["params"]}
    assert not any(id(p) in trained for p in method.depth.ray_surf.parameters())
    residual = backend.tensor(np.ones((1, 3, 64, 64), np.float32))
    assert_close(backend.array(method.rays(residual)), backend.array(method.depth.ray_template), (1e-6, 0))


def test_one_camera_has_one_surface(backend, tmp_path):
    """In training the mean of the batch, with its gradients; afterwards the running mean, which lies in the file."""
    method = make(backend, ray_residual="shared")
    method.progress = 1.0
    added = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 64, 64)).astype(np.float32)
    template = backend.array(method.depth.ray_template)

    def normalised(residual):
        return (template + residual) / np.linalg.norm(template + residual, axis=1, keepdims=True)

    method.train()
    found = backend.array(method.rays(backend.tensor(added)))
    assert_close(found, normalised(np.stack([added.mean(0)] * 2)), (1e-5, 1e-6))
    kept = 0.1 * added.mean(0, keepdims=True)
    assert_close(backend.array(method.depth.ray_mean), kept, (1e-5, 1e-7))
    backend.module("checkpoint").save_networks(method.networks(), tmp_path, method.scalars())
    predictor = backend.module("predictor").Predictor(tmp_path, "cpu")
    assert predictor.options.ray_residual == "shared"
    image = backend.tensor(np.zeros((1, 3, 64, 64), np.float32))
    with backend.no_gradients():
        rays = backend.array(predictor.method.predict({"image": image})["rays"])
    assert_close(rays, normalised(kept), (1e-5, 1e-6))


def test_known_motion(backend):
    """Nothing predicts it, and it is what warps."""
    method = make(backend, known_poses=True)
    assert list(method.networks()) == ["depth"] and len(method.parameter_groups()) == 1
    with pytest.raises(UserError, match="no pose network"):
        method.pose_frames()
    assert method.options.metres_per_unit == 1 and len(method.options.rates(0, 1)) == 1
    request = Request.make(method.options, steps=1)
    losses = []
    for still in (False, True):
        sample = {
            key: np.eye(4, dtype=np.float32)[None].repeat(2, 0) if still and key.startswith("T_") else array
            for key, array in request.batch.items()
        }
        method.eval()
        with backend.no_gradients():
            losses.append(backend.array(method.losses(backend.batch(sample, "float32")).maps["warped_1_0"]))
    assert abs(losses[0] - losses[1]).max() > 1e-3


def test_options_of_the_projection(backend):
    """They change the loss; how many rows are taken at a time does not."""
    method = make(backend)
    batch = backend.batch(Request.make(method.options, steps=1).batch, "float32")
    method.eval()
    with backend.no_gradients():
        found = method.depth(batch["image_0_0"])
        motions = method.T_sources_target([batch[f"image_{frame}_0"] for frame in method.pose_frames()])
    losses = {}
    for name, values in {
        "plain": {"temperature_progress": "fraction"},
        "chunks": {"projection_chunk": 2, "temperature_progress": "fraction"},
        "refined": {"projection": "refined"},
        "spacing": {},
        "percent": {"temperature_progress": "percent", "temperature_decay": 0.02},
        "ray_coefficient": {"ray_coefficient": 0.0},
        "linear": {"ray_ramp": "linear", "ray_ramp_epochs": 100.0},
    }.items():
        method.options = RaySurfaceOptions(**{**SMALL, **values})
        method.progress = 0.5
        with backend.no_gradients():
            of_outputs = method.losses_of(batch, found.disparities, found.ray_residual, motions)
        losses[name] = float(backend.array(of_outputs.loss))
    assert losses["chunks"] == pytest.approx(losses["plain"], rel=1e-5)
    assert all(np.isfinite(value) for value in losses.values())
    assert len({round(value, 7) for name, value in losses.items() if name != "chunks"}) == len(losses) - 1
