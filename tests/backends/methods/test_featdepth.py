"""FeatDepth's training against the recorded numbers of the published program; its four models, and its extractor."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.datasets.sample import augmented_key, image_key
from core.errors import UserError
from core.geometry import stereo_transform
from core.options.methods.featdepth import FeatDepthOptions
from core.parity.request import Request
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

P = "golden/featdepth/training"
FRAMES = (0, -1, 1, "s")
SHAPE = (64, 96)
# Of the recorded networks: our file, their size, the factor of the made-up weights.
RECORDED = {
    "DepthEncoder": ("encoder", "_18", 1.0),
    "DepthDecoder": ("depth", "_18", 0.5),
    "PoseEncoder": ("pose_encoder", "_18", 1.0),
    "PoseDecoder": ("pose", "_18", 1.0),
    "extractor": ("extractor", "_18", 1.0),
}
SHAPES = {"extractor": "Encoder_18"}  # under another name
FIRST = (1e-5, 0)
SINGLE = (2e-3, 0)
GRADIENT_STATISTICS = (2e-3, 0)
# The recording's inverse of K is a pseudo-inverse in single precision, also where all else is in double.
# With ours, which is exact, terms are 2e-7 off and gradients of the motions 1e-3; with these digits 1e-13.
K_INVERSE = np.array(
    [
        [1.7959770e-02, -1.3954948e-11, -8.6206889e-01],
        [7.4698553e-11, 8.1380205e-03, -2.6041666e-01],
        [3.3078162e-10, -4.5623283e-11, 9.9999988e-01],
    ],
    np.float32,
)
RECORDED_OPTIONS = {
    **{"num_layers": 18, "height": SHAPE[0], "width": SHAPE[1], "batch_size": 2, "dropout": 0.0},
    **{"use_stereo": True, "extractor": "of the recording", "weights_init": "scratch", "device": "cpu"},
}


@pytest.fixture
def divisor_of_the_recording(backend, monkeypatch):
    geometry = backend.module("geometry")
    exact = geometry.invert_intrinsics

    def inverse(K):
        if int(K[0, 0, 2]) != SHAPE[1] // 2:  # of the features
            return exact(K)
        return backend.tensor(np.tile(K_INVERSE.astype(backend.array(K).dtype), (2, 1, 1)))

    monkeypatch.setattr(geometry, "invert_intrinsics", inverse)


def recorded_batch(backend, recorded, number, dtype):
    """Batch `number` in the given precision: left targets, nothing augmented; K as the recording has it."""
    images = {image_key(frame): recorded[f"batch_{number}/image_{frame}"] for frame in FRAMES}
    normalized = np.array([[0.58, 0, 0.5], [0, 1.92, 0.5], [0, 0, 1]], np.float32)
    K = normalized * np.array([[SHAPE[1]], [SHAPE[0]], [1]], np.float32)
    T = stereo_transform("l", False, 0.015)
    return backend.batch(images | {"K": np.stack([K, K]), "T_stereo": np.stack([T, T])}, dtype)


def recorded_method(backend, golden, arrays, dtype):
    """The method in training mode, with the recorded weights."""

    def no_noise(name, shape, kind):
        return backend.tensor(np.zeros(shape, dtype))

    method = backend.module("methods").make_method(FeatDepthOptions(**RECORDED_OPTIONS), draw=no_noise)
    names = golden("featdepth/names.json")
    for network, (own, size, gain) in RECORDED.items():
        shapes = {key: tuple(shape) for key, shape in names[SHAPES.get(network, network + size)].items()}
        backend.fill(method.networks()[own], arrays.weights(shapes, f"{P}/{network}", gain))
    if dtype == "float64":
        backend.to_float64(method)
    method.train()
    return method


def matrix(size, wanted):
    """(wanted, size): what each pixel of a line is of those it is resized from, between their centres."""
    at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    return np.maximum(0, 1 - abs(at[:, None] - np.arange(size)))


def resize_exactly(backend, method):
    """PaddlePaddle has the weights of bilinear resizing in single precision, also of images in double: what the pose
    network sees is 7e-8 off, and gradients of its normalisations up to 3e-3."""
    rows, columns = (matrix(*pair) for pair in zip(SHAPE, method.options.pose_size, strict=True))

    def seen(image):
        return backend.tensor(rows @ backend.array(image) @ columns.T)

    method._seen_by_pose = seen


def run_steps(backend, golden, arrays, dtype, count):
    """Steps of the recorded training.

    Returns:
        The recording, the method after the last step, and of each step the row of `columns`, the maps, the motions and
        the gradients by our names.
    """
    recorded = dict(golden("featdepth/training.npz"))
    method = recorded_method(backend, golden, arrays, dtype)
    options, trainer = method.options, backend.module("trainer")
    if backend.name == "paddle" and dtype == "float64":
        resize_exactly(backend, method)
    optimizer = trainer.make_optimizer(method.parameter_groups(), options.learning_rate)
    named = dict(backend.module("checkpoint").named_parameters(method.networks()))
    trained = {name: one for name, one in named.items() if backend.is_trainable(one)}
    steps = []
    for step in range(count):
        motions = {}
        terms_of = method.depth_terms

        def noting(batch, sigmoids, given, features, terms_of=terms_of, motions=motions):
            motions.update({frame: backend.array(T) for frame, T in given.items()})
            return terms_of(batch, sigmoids, given, features)

        method.depth_terms = noting
        (rate,) = options.rates(step, 1000)
        trainer.set_rates(optimizer, [rate])
        (optimizer.zero_grad if backend.name == "torch" else optimizer.clear_grad)()
        losses = method.losses(recorded_batch(backend, recorded, step % 3, dtype))
        method.depth_terms = terms_of
        losses.loss.backward()
        found = {
            name: backend.array(one.grad).copy() for name, one in trained.items() if one.grad is not None
        }
        norm = np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in found.values()))
        trainer.clip_gradients(
            [one.grad for one in trained.values() if one.grad is not None], options.gradient_clip
        )
        optimizer.step()
        terms = {name: float(backend.array(term)) for name, term in losses.terms.items()}
        sums = [
            sum(value for name, value in terms.items() if name.startswith(kind))
            for kind in ("photometric", "feature", "smoothness")
        ]
        row = np.array([float(backend.array(losses.loss)), *sums, norm, rate])
        maps = {name: backend.array(one) for name, one in losses.maps.items()}
        steps.append((row, maps, motions, found))
    return recorded, method, steps


def check_networks(recorded, step, maps, motions, tolerance):
    """Sigmoids and motions of a step."""
    for scale in range(4):
        assert_close(maps[f"sigmoid_{scale}"], recorded[f"step_{step}/sigmoid_{scale}"], tolerance)
    for frame in (-1, 1):
        assert_close(motions[frame], recorded[f"step_{step}/T_source_target_{frame}"], tolerance)


def check_gradients(recorded, found):
    """Of every parameter its sum, sum of absolute values and norm; what is not recorded has none."""
    own = {name: file for name, (file, _, _) in RECORDED.items()}
    rows = {}
    for name, row in zip(
        recorded["step_0/gradient_names"].tolist(), recorded["step_0/gradient_statistics"], strict=True
    ):
        network, _, rest = name.partition(".")
        rows[f"{own[network]}/{rest}"] = row
    assert set(found) == set(rows)
    summed = np.array([[g.sum(), abs(g).sum(), np.sqrt((g * g).sum())] for g in map(found.get, rows)])
    wanted = np.array(list(rows.values()))
    largest = abs(wanted).max(axis=1, keepdims=True)
    assert_close(summed / largest, wanted / largest, GRADIENT_STATISTICS)


def test_the_first_recorded_step(backend, golden, arrays, divisor_of_the_recording):
    """Terms, gradient norm and rate; sigmoids and motions. In tests/slow in double precision, with all gradients."""
    recorded, _, ((row, maps, motions, _),) = run_steps(backend, golden, arrays, "float32", 1)
    check_row(recorded, row, 0, "float32")
    check_networks(recorded, 0, maps, motions, SINGLE)


def check_row(recorded, row, step, dtype):
    """The loss, its parts, the gradient's norm and the rate of a step."""
    for name, own, wanted in zip(recorded["columns"], row, recorded[f"{dtype}/losses"][step], strict=True):
        bound = SINGLE if dtype == "float32" else FIRST if step == 0 else (1e-4, 0)
        if name == "learning_rate":
            bound = FIRST
        elif name.startswith("gradient") and dtype == "float32":
            bound = (3e-2, 0)
        assert_close(own, wanted, bound, label=f"{name} of step {step}")


# ---- the four models ---------------------------------------------------------------------------------------------


def small(**values):
    """The cheapest legal setting of a model."""
    size = {"height": 96, "width": 96} if values.get("model") in ("autoencoder", "mono_fm_joint") else {}
    shape = {"pose_size": [64, 64], "frame_ids": [0, 1], "use_stereo": False}
    own = {} if values.get("model", "mono_fm") == "mono_fm" else {"train_extractor": False}
    values = {**FeatDepthOptions.SMALL, **size, **shape, **own, "device": "cpu", **values}
    options = FeatDepthOptions(**values)
    options.validate()
    return options


def built(backend, options):
    request = Request.make(options, steps=1)
    return backend.module("parity").build(request, "float32"), backend.batch(request.batch, "float32")


VIEWS = {f"{kind}/{scale}" for kind in ("photometric", "smoothness") for scale in range(4)}
IMAGES = {*(f"reconstruction/{s}" for s in range(4)), *(f"regularization/{s}" for s in range(5))}


@pytest.mark.parametrize(
    ("model", "terms"),
    [
        ("baseline", VIEWS),
        ("mono_fm_joint", {*VIEWS, "feature", *IMAGES}),
        ("autoencoder", IMAGES),
    ],
)
def test_terms_of_a_model(backend, model, terms):
    """Their sum is the loss; each frame passes the features' network once; in evaluation nothing is drawn."""
    method, batch = built(backend, small(model=model))
    calls = []
    if model != "baseline":
        conv, forward = method.image_encoder.encoder.conv1, method.image_encoder.encoder.conv1.forward
        conv.forward = lambda image: calls.append(1) or forward(image)
    method.eval()
    with backend.no_gradients():
        losses = method.losses(batch)
    assert set(losses.terms) == terms
    total = sum(float(backend.array(term)) for term in losses.terms.values())
    assert_close(float(backend.array(losses.loss)), total, (1e-5, 0))
    assert len(calls) == {"baseline": 0, "mono_fm_joint": 2, "autoencoder": 1}[model]
    if model == "autoencoder":
        assert not method.depth_networks and not losses.maps and augmented_key(0) not in batch
        with pytest.raises(UserError, match="no pose network"):
            method.pose_frames()


def test_the_extractor_passes_each_frame_once_and_learns_nothing(backend):
    """Stem alone; by the batch's statistics its running values move, otherwise they stay; the loss differs."""
    found = {}
    for by_batch in (True, False):
        options = small(extractor="a", train_extractor=False, extractor_batch_statistics=by_batch)
        method, batch = built(backend, options)
        network, calls = method.extractor, []
        stem, running = network.stem, network.encoder.bn1.running_mean if backend.name == "torch" else None
        running = network.encoder.bn1._mean if running is None else running
        network.stem = lambda image, stem=stem, calls=calls: calls.append(image) or stem(image)
        method.train()
        before = backend.array(running).copy()
        losses = method.losses(batch)
        assert len(calls) == 2
        for image, frame in zip(calls, (0, 1), strict=True):  # the target first, as it is
            np.testing.assert_array_equal(backend.array(image), backend.array(batch[image_key(frame)]))
        assert (backend.array(running) != before).any() == by_batch
        trained = {id(one) for group in method.parameter_groups() for one in group["params"]}
        assert trained and not trained & {id(one) for one in network.parameters()}
        found[by_batch] = float(backend.array(losses.terms["feature"]))
    assert abs(found[True] / found[False] - 1) > 1e-3


def test_a_trained_extractor_learns_what_the_loss_reaches(backend):
    method = backend.module("methods").make_method(small())
    names = dict(backend.module("checkpoint").named_parameters({"x": method.extractor}))
    trained = {name for name, one in names.items() if backend.is_trainable(one)}
    assert trained == {"x/encoder.conv1.weight", "x/encoder.bn1.weight", "x/encoder.bn1.bias"}


def test_motion_is_in_the_order_of_time(backend):
    """To an earlier frame it is the inverse of what the pair earlier, later says; images come at any size."""
    method, batch = built(backend, small(frame_ids=[0, -1]))
    method.eval()
    noted = {}
    terms_of = method.depth_terms
    method.depth_terms = lambda batch, sigmoids, motions, features: (
        noted.update(motions) or terms_of(batch, sigmoids, motions, features)
    )
    seen = batch | {augmented_key(frame): batch[image_key(frame)] for frame in (0, -1)}
    with backend.no_gradients():
        method.losses(seen)
        (T,) = method.T_sources_target([batch[image_key(-1)], batch[image_key(0)]])
    product = backend.array(noted[-1]) @ backend.array(T)
    assert_close(product, np.tile(np.eye(4), (2, 1, 1)), "operator")
    assert abs(backend.array(T) - np.eye(4)).max() > 1e-3


@pytest.mark.parametrize(("dtype", "bound"), [("float64", (1e-14, 0)), ("float32", (1e-5, 0))])
def test_what_the_pose_network_sees_is_resized_in_the_precision_of_the_image(backend, dtype, bound):
    """Bilinear between pixel centres, to the one size of all, by ratios that single precision does not have."""
    method = SimpleNamespace(options=SimpleNamespace(pose_size=(192, 640)))
    image = np.random.default_rng(0).uniform(size=(1, 3, 96, 96)).astype(dtype)
    seen = backend.module("methods.featdepth").FeatDepth._seen_by_pose(method, backend.tensor(image))
    expected = image.astype(np.float64)
    for axis, size in ((2, 192), (3, 640)):
        position = np.clip((np.arange(size) + 0.5) * (96 / size) - 0.5, 0, 95)
        first = np.minimum(position.astype(int), 94)
        share = (position - first).reshape((-1, 1) if axis == 2 else (-1,))
        start, end = (np.take(expected, first + one, axis) for one in (0, 1))
        expected = start + (end - start) * share
    assert_close(backend.array(seen), expected, bound)
