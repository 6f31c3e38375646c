"""The whole of Monodepth2, networks to losses, in every choice of frames and pose network."""

import numpy as np
import pytest

from core.geometry import invert_rigid, nominal_intrinsics, rigid, stereo_transform
from core.options.methods.monodepth2 import Monodepth2Options
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("narrow")

HEIGHT, WIDTH = 64, 96
VARIANTS = {
    "pairs": {},
    "stereo": {"frame_ids": [0], "use_stereo": True},
    "mono+stereo": {"use_stereo": True},
    "four frames": {"frame_ids": [0, -2, -1, 1]},
    "all": {"pose_model_input": "all"},
    "all, four frames": {"pose_model_input": "all", "frame_ids": [0, -2, -1, 1]},
    "shared": {"pose_model_type": "shared"},
    "shared, all, stereo": {"pose_model_type": "shared", "pose_model_input": "all", "use_stereo": True},
    "posecnn": {"pose_model_type": "posecnn"},
    "posecnn, all, stereo": {"pose_model_type": "posecnn", "pose_model_input": "all", "use_stereo": True},
    "predictive mask": {"predictive_mask": True, "disable_automasking": True},
    "predictive mask, shared, stereo": {
        "predictive_mask": True,
        "disable_automasking": True,
        "pose_model_type": "shared",
        "use_stereo": True,
    },
    "known poses": {"known_poses": True},
    "known poses, predictive mask, stereo": {
        "known_poses": True,
        "predictive_mask": True,
        "disable_automasking": True,
        "use_stereo": True,
    },
    "one scale": {"scales": [0]},
    "scales out of order": {"scales": [2, 0]},
}
# All four scales once; else one at full size and one that is enlarged, as the others are.
for _variant in list(VARIANTS)[1:]:
    VARIANTS[_variant] = {"scales": [0, 1], **VARIANTS[_variant]}


def make(backend, **changes):
    options = Monodepth2Options(height=HEIGHT, width=WIDTH, weights_init="scratch", **changes)
    options.validate()
    backend.tensors.seed_everything(0)
    return backend.module("methods.monodepth2").Monodepth2(options)


def collate(options, count=2):
    """Noise images as a batch of samples."""
    rng = np.random.default_rng(0)
    batch = {}
    for frame in options.frames:
        batch[f"image_{frame}_0"] = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
        batch[f"augmented_{frame}"] = batch[f"image_{frame}_0"]
    for scale in (1, 2, 3):
        shape = (count, HEIGHT >> scale, WIDTH >> scale, 3)
        batch[f"image_0_{scale}"] = rng.integers(0, 256, shape, dtype=np.uint8)
    batch["K"] = np.repeat(nominal_intrinsics(HEIGHT, WIDTH)[None].astype(np.float32), count, axis=0)
    batch["T_stereo"] = np.repeat(stereo_transform("l", False)[None].astype(np.float32), count, axis=0)
    for frame in options.frame_ids[1:] if options.known_poses else ():
        T = rigid(rng.uniform(-0.02, 0.02, 3), np.array([0, 0, -0.2 * frame]))
        batch[f"T_{frame}"] = np.repeat(T[None].astype(np.float32), count, axis=0)
    return batch


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_network_learns(backend, variant):
    method = make(backend, **VARIANTS[variant])
    method.train()
    losses = method.losses(backend.batch(collate(method.options), "float32"))
    terms, maps = losses.terms, losses.maps
    scales = method.options.scales
    kinds = ("photometric", "smoothness", *(["mask"] if method.options.predictive_mask else []))
    assert set(terms) == {f"{kind}/{scale}" for kind in kinds for scale in scales}
    assert tuple(maps[f"reprojection_{scales[0]}"].shape) == (2, len(method.sources), HEIGHT, WIDTH)
    parameters = dict(backend.module("checkpoint").named_parameters(method.networks()))
    gradients = backend.gradients(sum(terms.values()), list(parameters.values()))
    learning = {
        name.partition("/")[0]
        for name, gradient in zip(parameters, gradients, strict=True)
        if np.abs(gradient).max() > 0
    }
    assert learning == set(method.networks())
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("changes", [*VARIANTS.values(), {"scales": [0, 1], "avg_reprojection": True}])
def test_every_tensor_is_made_on_the_device_of_the_batch(backend, changes):
    """On PyTorch's device without memory, where an operation with a tensor of the CPU is refused as on a GPU."""
    if backend.name != "torch":
        pytest.skip("PaddlePaddle has no such device, and makes tensors on the chosen one unasked")
    device = backend.framework.device("meta")
    if "scales" in changes:
        changes = {**changes, "scales": [0]}  # coarser ones are in the first
    method = make(backend, **changes).to(device)
    method.draw = backend.tensors.draw_on(device)
    losses = method.losses(backend.tensors.to_batch(collate(method.options), device))
    terms, maps = losses.terms, losses.maps
    if "scales" not in changes:  # once: the backward passes of our own are the same in all
        sum(terms.values()).backward()
    assert {tensor.device.type for tensor in [*terms.values(), *maps.values()]} == {"meta"}


def test_network_sees_temporal_order(backend):
    """A source from the past is fed before the target and its motion inverted; one from the future is neither."""
    method = make(backend)
    method.eval()
    batch = collate(method.options)
    batch["augmented_1"] = batch["augmented_0"]
    batch["augmented_0"] = batch["augmented_-1"]  # now (-1, 0) and (0, 1) are … the pair (a, a) and (a, b)
    tensors = backend.batch(batch, "float32")
    with backend.no_gradients():
        poses = method.poses(tensors, {})
        forward = backend.array(method.T_sources_target([tensors["augmented_-1"], tensors["augmented_0"]])[0])
        future = backend.array(method.T_sources_target([tensors["augmented_0"], tensors["augmented_1"]])[0])
    assert_close(backend.array(poses[1].transform()), future, (0, 1e-6))
    assert_close(
        backend.array(poses[-1].transform()), np.stack([invert_rigid(T) for T in forward]), (0, 1e-6)
    )


def test_validation_draws_no_noise(backend):
    method = make(backend)
    like = backend.tensor(np.ones((1, 2, 4, 4), np.float32))
    method.train()
    assert np.abs(backend.array(method._noise(like, 0))).max() > 0
    method.eval()
    assert np.all(backend.array(method._noise(like, 0)) == 0)


def test_disparity_is_the_finest_scale_within_the_depth_range(backend):
    method = make(backend, scales=[2, 0], min_depth=0.5, max_depth=20)
    method.eval()
    image = backend.tensor(np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), np.float32))
    with backend.no_gradients():
        disparity = backend.array(method.predict({"image": image})["disparity"])
        sigmoid = backend.array(method.depth(method.encoder(image))[0])
    assert_close(disparity, 1 / 20 + (1 / 0.5 - 1 / 20) * sigmoid)
