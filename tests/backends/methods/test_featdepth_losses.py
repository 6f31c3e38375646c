"""FeatDepth's geometry and losses against the recorded numbers of the published program."""

import numpy as np
import pytest

from core.geometry import stereo_transform
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

GEOMETRY = (1e-5, 0)
LOSS32, LOSS64 = (1e-5, 0), (2e-6, 0)
GRADIENT = (1e-5, 0)
# What SSIM's loss is worth where it is recorded in single precision: a flat window's variance is a difference of
# equals, and its rounding is divided by 9e-4. The map's mean is compared by the recorded bound.
SINGLE_SSIM = (0, 3e-4)
P = "golden/featdepth"
STEREO_BASELINE = 0.015
RANGES = {"kitti": (0.1, 100.0), "euroc": (0.1, 50.0)}
SHAPE = (96, 160)

# What of the settings is not as in `mono_stereo`, which has neither auto-mask nor normalised disparity.
BOTH = {"automask": True, "disp_norm": True}
CASES = {
    "mono": BOTH,
    "mono_half_pixel": BOTH | {"align_corners": False},
    "mono_stereo": {},
    "stereo": {},
    "perception_1": {"perception_weight": 1.0},
    "joint_mono_stereo": {},
}


@pytest.fixture(scope="module")
def recorded(golden):
    return dict(golden("featdepth/losses.npz"))


@pytest.fixture(scope="module")
def geometry(golden):
    return dict(golden("featdepth/geometry.npz"))


@pytest.fixture(scope="module")
def names(golden):
    return golden("featdepth/names.json")


@pytest.fixture(scope="module")
def sigmoids(arrays):
    """Of the four scales, float32."""
    return [
        arrays.smooth(f"{P}/sigmoid/{s}", (2, 1, 96 >> (s + 1), 160 >> (s + 1)), (5, 8), 0.002, 0.06)
        for s in range(4)
    ]


def image_of(backend, image, dtype="float64"):
    array = np.ascontiguousarray(image.transpose(0, 3, 1, 2)).astype(dtype)
    return backend.tensor(array / np.dtype(dtype).type(255))


# ---- geometry --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverted", [False, True])
def test_motions(backend, arrays, geometry, inverted):
    name = "T_inverted" if inverted else "T_forward"
    module = backend.module("geometry")
    vectors = [geometry[kind].reshape(8, 3) for kind in ("axisangle", "translation")]
    T = module.rigid_transform(*map(backend.tensor, vectors), inverted)
    assert_close(backend.array(T), geometry[name], GEOMETRY)
    inputs = [backend.tensor(vector.astype(np.float64), gradient=True) for vector in vectors]
    weights = backend.tensor(arrays.uniform64(f"{P}/T_objective", (8, 4, 4), -1, 1))
    total = (module.rigid_transform(*inputs, inverted) * weights)[2:].sum()
    for kind, gradient in zip(("axisangle", "translation"), backend.gradients(total, inputs), strict=True):
        assert_close(gradient[:, None], geometry[f"{name}/float64/gradient_{kind}"], GRADIENT, label=kind)


def test_intrinsics(backend, geometry):
    """At full size and at that of the features; their inverse."""
    module = backend.module("geometry")
    K = backend.tensor(geometry["K"][:, :3, :3])
    halved = module.intrinsics_at_scale(K, 1, 48, 64)
    for name, matrix in (("K", K), ("K_feature", halved)):
        assert_close(backend.array(matrix), geometry[name][:, :3, :3], GEOMETRY, label=name)
        inverse = backend.array(module.invert_intrinsics(matrix))
        assert_close(inverse, geometry[f"{name}_inverse"][:, :3, :3], GEOMETRY, label=name)


def test_ranges(backend, arrays, geometry):
    sigmoid = backend.tensor(arrays.uniform(f"{P}/sigmoid", (1, 1, 4, 6)))
    for name, bounds in RANGES.items():
        found = backend.module("geometry").sigmoid_to_depth(sigmoid, *bounds)
        for kind, one in zip(("disparity", "depth"), found, strict=True):
            assert_close(backend.array(one), geometry[f"range_{name}/{kind}"], GEOMETRY, label=name)


def test_stereo(geometry):
    """By side, and mirrored."""
    for side in "lr":
        for flip in range(2):
            found = stereo_transform(side, bool(flip), STEREO_BASELINE)
            assert_close(found, geometry[f"stereo/T_source_target_{side}_flip{flip}"], GEOMETRY)


def test_warping(backend, arrays, geometry, monkeypatch):
    """Points, where they lie, and what is sampled there by either reading of the grid.

    From the recorded inverse of K: it is a pseudo-inverse of single precision, which by itself moves samples by 9e-6.
    """
    module = backend.module("geometry")
    inverse = backend.tensor(geometry["K_inverse"][:, :3, :3])
    monkeypatch.setattr(module, "invert_intrinsics", lambda K: inverse)
    depth = geometry["warp_depth"]
    np.testing.assert_array_equal(depth, arrays.smooth(f"{P}/warp_depth", (2, 1, 48, 64), (4, 5), 1.5, 20))
    K, T = backend.tensor(geometry["K"][:, :3, :3]), backend.tensor(geometry["warp_T"])
    points = module.backproject(backend.tensor(depth), K)
    found = backend.array(points)[:, :, ::17]
    assert_close(found, geometry["points"][:, :3], GEOMETRY)
    grid = module.project(points, K, T, 48, 64)
    assert_close(backend.array(grid), geometry["normalised_pixels"], GEOMETRY)
    source = image_of(backend, geometry["source"], "float32")
    for align in (True, False):
        warped = module.warp(source, backend.tensor(depth), K, T, align)
        wanted = geometry[f"warped_align_corners_{str(align).lower()}"]
        assert_close(backend.array(warped), wanted, GEOMETRY, label=f"align_corners {align}")


# ---- losses ----------------------------------------------------------------------------------------------


# The last digits of what the recording divided by, in double precision. Its inverse of K at full size is one of single
# precision, a pseudo-inverse, which moves gradients by up to 5e-5. And where sigmoids are ramps, their second
# differences are rounding alone, whose signs are the gradient's: a mean that differs by one bit moves a third of it, by
# up to 2e-2.
K_INVERSE = np.array(
    [
        [0.010775862, 4.5602605e-11, -0.862069],
        [-8.8265645e-12, 0.0054253475, -0.2604167],
        [-3.9795886e-10, 4.205404e-11, 1.0],
    ],
    np.float32,
)
MEANS = {  # of each image's sigmoid, by its height
    48: (0.02990301499897517, 0.027988106786688154),
    24: (0.02498312254538177, 0.030037168632649502),
    12: (0.029188960740187515, 0.030098438484128565),
    6: (0.028687655828737967, 0.031989123307478926),
}


@pytest.fixture
def divisors_of_the_recording(backend, monkeypatch):
    geometry, smoothness = backend.module("geometry"), backend.module("losses.second_order")
    exact = geometry.invert_intrinsics

    def inverse(K):
        if int(K[0, 0, 2]) != SHAPE[1] // 2:  # of the features
            return exact(K)
        return backend.tensor(np.tile(K_INVERSE.astype(np.float64), (2, 1, 1)))

    def normalize(sigmoid):
        mean = sigmoid.mean(3, True).mean(2, True)
        recorded = backend.tensor(np.array(MEANS[sigmoid.shape[2]]).reshape(2, 1, 1, 1))
        assert_close(backend.array(mean), backend.array(recorded), (1e-15, 0))
        return sigmoid / (mean + (recorded - mean).detach() + 1e-7)

    monkeypatch.setattr(geometry, "invert_intrinsics", inverse)
    monkeypatch.setattr(smoothness, "normalize_by_mean", normalize)


@pytest.fixture(scope="module")
def networks(backend, arrays, names):
    """`{float32 or float64: (encoder, decoder)}` of images, in training mode; the encoder is the extractor, too."""
    found = {}
    for dtype in ("float32", "float64"):
        encoder = backend.module("networks.classified_resnet").ClassifiedEncoder(18, normalize=False)
        decoder = backend.module("networks.image_decoder").ImageDecoder(encoder.channels)
        found[dtype] = (encoder, decoder)
        for network, name, seed in (
            (encoder, "Encoder_18", "extractor"),
            (decoder, "Decoder_18", "reconstruction_decoder"),
        ):
            shapes = {key: tuple(shape) for key, shape in names[name].items()}
            backend.fill(network, arrays.weights(shapes, f"{P}/{seed}"))
            network.train()
            if dtype == "float64":
                backend.to_float64(network)
    return found


class Run:
    """A case in one precision.

    Attributes:
        inputs: what gradients are recorded of, by name.
        terms: name in the recording to the term of each scale, or feature.
        warped: source to its warped image, of the finest scale, and its warped features.
    """

    def __init__(self, backend, recorded, sigmoids, networks, case, dtype):
        self.backend, self.recorded, self.dtype = backend, recorded, dtype
        frames = recorded[f"{case}/frames"].tolist()
        self.inputs = {f"sigmoid_{s}": self.tensor(one, gradient=True) for s, one in enumerate(sigmoids)}
        motions = [self.motion(frame) for frame in frames[1:]]
        target, *sources = (image_of(backend, recorded[f"image_{frame}"], dtype) for frame in frames)
        module, own = backend.module("losses.feature_metric"), list(self.inputs.values())[:4]
        settings = module.DepthSettings(**({"automask": False, "disp_norm": False} | CASES[case]))
        views = module.Views(target, sources, self.tensor(intrinsics()), motions)
        photometric = module.photometric_terms(own, views, settings)
        encoder, _ = networks
        joint = case.startswith("joint")
        features = encoder(target) if joint else [encoder.stem(target)]
        stems = [encoder.stem(source) for source in sources]
        feature_metric, warped = module.feature_metric_term(own[0], features[0], stems, views, settings)
        self.warped = dict(zip(frames[1:], zip(photometric.warped, warped, strict=True), strict=True))
        self.terms = {
            "min_reconstruct_loss": photometric.terms,
            "min_perceptional_loss": [feature_metric / 4] * 4,  # recorded at each scale
            "smooth_loss": module.smoothness_terms(own, target, settings),
        }
        if joint:
            images, shape = autoencoder_terms(backend, networks, target, features)
            self.terms |= {"img_reconstruct_loss": images, "feature_regularization_loss": shape}

    def tensor(self, array, gradient=False):
        return self.backend.tensor(array.astype(self.dtype), gradient)

    def motion(self, frame):
        """T_source_target; of the frames in time from what is predicted."""
        if frame == "s":
            return self.tensor(self.recorded["stereo_T"])
        names = [f"{kind}_{frame}" for kind in ("axisangle", "translation")]
        pair = [self.tensor(self.recorded[name].reshape(2, 3), gradient=True) for name in names]
        self.inputs |= dict(zip(names, pair, strict=True))
        return self.backend.module("geometry").rigid_transform(*pair, int(frame) < 0)


def intrinsics():
    """Of both samples, as the recording has them: in single precision."""
    normalized = np.array([[0.58, 0, 0.5], [0, 1.92, 0.5], [0, 0, 1]], np.float32)
    return np.tile(normalized * np.array([[SHAPE[1]], [SHAPE[0]], [1]], np.float32), (2, 1, 1))


def autoencoder_terms(backend, networks, target, features, cumulative=False):
    """Those of the images, and of the features."""
    images = networks[1](features)
    terms = backend.module("losses.reconstruction").reconstruction_terms(images, target, cumulative)
    return terms, backend.module("losses.second_order").regularization_terms(features, target, 1e-3, 1e-3)


def check_terms(backend, recorded, case, terms):
    """Each, and their sum, in double precision; returns the sum."""
    for name, parts in terms.items():
        found = np.array([backend.array(part) for part in parts])
        assert_close(found, recorded[f"{case}/float64/{name}"], LOSS64, label=name)
    total = total_of(terms)
    assert_close(backend.array(total), recorded[f"{case}/float64/total"], LOSS64)
    return total


def total_of(terms):
    return sum(part for parts in terms.values() for part in parts)


def parameters_of(backend, **networks):
    """By prefix and official name, those that learn."""
    found = {}
    for prefix, network in networks.items():
        named = backend.module("checkpoint").named_parameters({prefix: network})
        found |= {name.replace("/", "."): one for name, one in named if backend.is_trainable(one)}
    return found


def check_norms(recorded, names, norms, parameters, gradients):
    """Of the gradients of all parameters; those that are not recorded are 0."""
    wanted = dict(zip(recorded[names].tolist(), recorded[norms], strict=True))
    assert set(wanted) <= set(parameters)
    found = [np.linalg.norm(gradient) for gradient in gradients]
    assert_close(np.array(found), np.array([wanted.get(name, 0.0) for name in parameters]), GRADIENT)


def check_case(backend, recorded, sigmoids, networks, case):
    """Terms, their sum, warped images and features; gradients of sigmoids, motions and extractor; double precision."""
    run = Run(backend, recorded, sigmoids, networks["float64"], case, "float64")
    total = check_terms(backend, recorded, case, run.terms)
    extractor = {
        name.removeprefix("x."): one for name, one in parameters_of(backend, x=networks["float64"][0]).items()
    }
    if not case.startswith("joint"):  # the stem's
        extractor = {name: extractor[name] for name in recorded[f"{case}/float64/extractor_gradient_names"]}
    gradients = backend.gradients(total, [*run.inputs.values(), *extractor.values()])
    for name, gradient in zip(run.inputs, gradients, strict=False):
        expected = recorded[f"{case}/float64/gradient_{name}"]
        assert_close(gradient.reshape(expected.shape), expected, GRADIENT, label=name)
    key = f"{case}/float64/extractor_gradient"
    check_norms(recorded, f"{key}_names", f"{key}_norms", extractor, gradients[len(run.inputs) :])
    for frame, (image, feature) in run.warped.items():
        if f"{case}/feature_{frame}" in recorded:
            found = backend.array(image)[:, :, ::2, ::4], backend.array(feature)[:, ::16, ::2, ::2]
            assert_close(found[0], recorded[f"{case}/warped_{frame}_0"], GEOMETRY, label=frame)
            assert_close(found[1], recorded[f"{case}/feature_{frame}"], GEOMETRY, label=frame)


# The joint case is in tests/slow.
@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("joint")])
def test_terms(backend, recorded, sigmoids, networks, divisors_of_the_recording, case):
    check_case(backend, recorded, sigmoids, networks, case)


@pytest.mark.parametrize("case", CASES)
def test_the_loss_in_single_precision(backend, recorded, sigmoids, networks, case):
    with backend.no_gradients():
        total = total_of(Run(backend, recorded, sigmoids, networks["float32"], case, "float32").terms)
    assert_close(backend.array(total), recorded[f"{case}/float32/total"], LOSS32)


def test_the_autoencoder(backend, recorded, networks):
    """Terms and gradients with targets as published; and with those resized from the original, the default."""
    target = image_of(backend, recorded["image_0"])
    encoder, decoder = networks["float64"]
    features = encoder(target)
    images, shape = autoencoder_terms(backend, networks["float64"], target, features, cumulative=True)
    total = check_terms(
        backend, recorded, "autoencoder", {"min_reconstruct_loss": images, "smooth_loss": shape}
    )
    parameters = parameters_of(backend, Encoder=encoder, Decoder=decoder)
    gradients = backend.gradients(total, [*parameters.values()])
    key = "autoencoder/float64/gradient"
    check_norms(recorded, f"{key}_names", f"{key}_norms", parameters, gradients)
    with backend.no_gradients():
        images, _ = autoencoder_terms(backend, networks["float64"], target, features)
        wanted = recorded["autoencoder/float64/min_reconstruct_loss_resized_from_original"]
        assert_close(np.array([backend.array(one) for one in images]), wanted, LOSS64)
        target = image_of(backend, recorded["image_0"], "float32")
        features = networks["float32"][0](target)
        parts = autoencoder_terms(backend, networks["float32"], target, features, cumulative=True)
        total = backend.array(total_of(dict(enumerate(parts))))
    assert_close(total, recorded["autoencoder/float32/total"], LOSS32)


def test_parts(backend, arrays, recorded, sigmoids):
    """Errors of images and of features, smoothness, the area resize; in single precision."""
    charbonnier = backend.module("losses.charbonnier")
    target, source = (image_of(backend, recorded[f"image_{frame}"], "float32") for frame in "01")
    error = backend.array(charbonnier.CharbonnierError(target)(source))[..., ::2, ::2]
    assert_close(error, recorded["reprojection_error"], SINGLE_SSIM)
    assert_close(error.mean(dtype=np.float64), recorded["reprojection_error"].mean(dtype=np.float64), LOSS32)
    pair = [backend.tensor(arrays.uniform(f"{P}/feature_{one}", (1, 8, 6, 9))) for one in "ab"]
    assert_close(backend.array(charbonnier.charbonnier(*pair)), recorded["feature_error"], LOSS32)
    module = backend.module("losses.second_order")
    target = image_of(backend, recorded["image_0"])
    found = [
        backend.array(module.smoothness_loss(backend.tensor(one.astype(np.float64)), target, False))
        for one in sigmoids
    ]
    assert_close(np.array(found), recorded["smoothness"], LOSS64)
    assert_close(backend.array(module.area_resize(target, 24, 40)), recorded["target_area"], LOSS32)


def test_the_noise_of_the_automask(backend, arrays):
    """Drawn for the unwarped sources together, anew at each scale; 1e-5 of it decides where all is still."""
    module = backend.module("losses.feature_metric")
    image = backend.tensor(arrays.uniform("image", (1, 3, 16, 24)))
    K, still = (backend.tensor(np.eye(size, dtype=np.float32)[None]) for size in (3, 4))
    views = module.Views(image, [image, image], K, [still, still])
    sigmoids = [backend.tensor(arrays.uniform("sigmoid", (1, 1, 8 >> s, 12 >> s))) for s in range(2)]
    drawn = []

    def noise(like, scale):
        drawn.append((tuple(like.shape), scale))
        return backend.tensor(np.broadcast_to(np.float32([[[-1]], [[1]]]), (1, 2, 16, 24)).copy())

    with_noise = module.photometric_terms(sigmoids, views, module.DepthSettings(), noise)
    assert drawn == [((1, 2, 16, 24), 0), ((1, 2, 16, 24), 1)]
    assert not backend.array(with_noise.automask).any()
    terms = [module.photometric_terms(sigmoids, views, module.DepthSettings()).terms, with_noise.terms]
    without, found = (np.array([backend.array(term) for term in one]) for one in terms)
    assert_close(without - found, np.full(2, 0.5e-5), (1e-2, 0))


def test_images_that_are_too_small(backend, networks):
    """65 pixels are the least: a fifth feature of fewer than 3 has no second difference."""
    encoder = networks["float32"][0]
    module = backend.module("losses.second_order")
    for size in (module.LEAST_IMAGE, module.LEAST_IMAGE - 1):
        image = backend.tensor(np.zeros((1, 3, size, 80), np.float32))
        with backend.no_gradients():
            features = encoder(image)
            if size == module.LEAST_IMAGE:
                assert tuple(features[4].shape[2:]) == (3, 3)
                terms = module.regularization_terms(features, image, 1e-3, 1e-3)
                assert np.isfinite([backend.array(term) for term in terms]).all()
            else:
                with pytest.raises(ValueError, match=r"2 x 3 pixels .* 65 or more"):
                    module.regularization_terms(features, image, 1e-3, 1e-3)
