"""EPCDepth's ResNet-50, training mode with all gradients, and NYUv2 by its program, against recorded numbers: 30 s.

The rest is in tests/backends/methods/test_epcdepth{,_networks,_losses,_weights}.py.
"""

import json

import numpy as np

import evaluate_depth
from tests.backends.methods.test_epcdepth_networks import (
    FEATURES,
    OUTPUTS,
    compare_features,
    decoder,
    encoder,
    image,
    make_decoder,
    make_encoder,
    names,
    networks,
    reflected_image,
)
from tests.backends.methods.test_epcdepth_weights import arguments, make_states, without_heads
from tests.core.nyu_h5_folder import write_real
from tests.core.twin_family import write_nested
from tests.tolerances import assert_close

__all__ = ["decoder", "encoder", "image", "names", "networks", "reflected_image"]  # fixtures


def test_all_outputs_from_a_resnet50(backend, arrays, networks, names, image, reflected_image):
    encoder = make_encoder(backend, arrays, names, 50)
    with backend.no_gradients():
        features = encoder(backend.tensor(image[:1]))
        compare_features(backend, features, networks, 50)
        sigmoids = make_decoder(backend, arrays, names, 50)(features)
        for number in (0, 1, 2, 5, 6, 7, 8, 9):
            recorded = networks[f"full_scale50_zeros/sigmoid_{number}"]
            assert_close(backend.array(sigmoids[number]), recorded, OUTPUTS, label=str(number))
        decoder = make_decoder(backend, arrays, names, 50, "reflect")
        found = decoder.decode(encoder(backend.tensor(reflected_image)), (0,))
        assert_close(backend.array(found[0]), networks["full_scale50_reflect/sigmoid_0"], OUTPUTS)


def test_training_mode(backend, arrays, networks, names, image, encoder, decoder):
    """Batch statistics: outputs, the objective and its gradients in float64, the running statistics in float32."""
    encoder.train()
    with backend.no_gradients():
        encoder(backend.tensor(image))
    state = backend.module("checkpoint").network_state(encoder)
    after = [name for name in networks if name.startswith("full_scale18_train/after/")]
    for name in after:
        assert_close(state[name.rpartition("/")[2]], networks[name], FEATURES, label=name)
    assert after
    # They hold no running statistics of use any more, and training does not read them.
    encoder, decoder = backend.to_float64(encoder), backend.to_float64(decoder)
    encoder.train()
    sigmoids = decoder(encoder(backend.tensor(image.astype(np.float64))))
    objective = 0
    for number, sigmoid in enumerate(sigmoids):
        recorded = networks[f"full_scale18_train/sigmoid_{number}"]
        assert_close(backend.array(sigmoid)[: len(recorded)], recorded, OUTPUTS, label=str(number))
        cotangent = arrays.uniform(f"epcdepth/cotangent/{number}", tuple(sigmoid.shape), -1, 1)
        objective = objective + (sigmoid * backend.tensor(cotangent.astype(np.float64))).mean()
    found = float(backend.array(objective))
    assert_close(found, networks["full_scale18_train/objective"], (1e-6, 0))
    assert_close(found, networks["full_scale18_train/objective_float32"], (1e-3, 1e-6))
    parameters = {
        (part, name): parameter
        for part, network in (("encoder", encoder), ("decoder", decoder))
        for name, parameter in backend.module("checkpoint").named_parameters({part: network})
    }
    gradients = backend.gradients(objective, list(parameters.values()))
    found = dict(zip(((part, name.partition("/")[2]) for part, name in parameters), gradients, strict=True))
    recorded = {
        (part, name): row
        for part in ("encoder", "decoder")
        for name, row in zip(
            networks[f"full_scale18_train/gradient_names_{part}"].tolist(),
            networks[f"full_scale18_train/gradient_statistics_{part}"],
            strict=True,
        )
    }
    assert set(recorded) == set(found)
    for name, gradient in found.items():
        statistics = [gradient.sum(), np.linalg.norm(gradient), np.abs(gradient).max()]
        assert_close(statistics, recorded[name], (1e-6, 1e-12), label=str(name))
    expected = networks["full_scale18_train/gradient_disps_4"]
    assert_close(found["decoder", "disps.4.0.weight"], expected, (1e-6, 0))
    expected = networks["full_scale18_train/gradient_conv1_slice"]
    assert_close(found["encoder", "encoder.conv1.weight"][:4], expected, (1e-6, 0))


def test_nyu_as_the_program_has_it(backend, arrays, names, golden, shared, tmp_path):
    """The recorded predictions and metrics of two real frames, from a checkpoint with a ResNet-50."""
    recorded = golden("epcdepth/nyuv2.npz")
    path = write_nested(tmp_path / "model50.pth.tar", without_heads(make_states(arrays, names, 50)), epoch=19)
    write_real(tmp_path, shared, recorded)
    for kind, flags in (("single", []), ("post_processed", ["--post_process"])):
        output = tmp_path / f"{kind}.json"
        evaluate_depth.main(
            [
                *arguments(backend, path, "--protocol", "epcdepth_nyu", "--eval_mono", *flags),
                *map(str, ["--data_path", tmp_path, "--output", output, "--device", "cpu"]),
                *map(str, ["--disps_path", tmp_path / kind, "--num_workers", 0, "--batch_size", 2]),
            ]
        )
        content = json.loads(output.read_text())
        for number, row in enumerate(content["per_image"]):
            found = [
                dict(zip(content["names"], row, strict=True))[name] for name in recorded["columns"].tolist()
            ]
            expected = recorded[f"sample_{number}/network_{kind}/metrics"]
            assert np.all(np.abs(found - expected) <= 1e-4 * np.abs(expected)), (kind, number)
        ratios = [recorded[f"sample_{number}/network_{kind}/ratio"] for number in range(2)]
        np.testing.assert_allclose(content["scale_ratios"], ratios, rtol=1e-4)
    path.unlink()
    disparities = np.load(tmp_path / "single/disparities.npy")
    assert disparities.shape == (2, 288, 384) and disparities.dtype == np.float32
    for number, disparity in enumerate(disparities):
        sigmoid = recorded[f"sample_{number}/sigmoid_0_stride4"][0, 0]
        assert_close(disparity[::4, ::4], 0.1 + 9.9 * sigmoid, (0, 1e-4))
