"""The predictor against the network it holds."""

import numpy as np
import pytest
from PIL import Image

from core.disparity import blend_mirrored
from core.errors import UserError
from tests.backends.drive import HEIGHT, WIDTH, link_weights
from tests.tolerances import assert_close

SIZES = [(HEIGHT, WIDTH), (90, 200), (HEIGHT, WIDTH)]
LOW, HIGH = 1 / 100, 1 / 0.1


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Noise at several scales, uint8 (h, w, 3)."""
    rng = np.random.default_rng(0)
    made = []
    for height, width in SIZES:
        small = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8))
        made.append(np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)))
    return made


@pytest.fixture(scope="module")
def predictor(backend, trained):
    return backend.module("predictor").Predictor(trained, "cpu")


@pytest.fixture
def make(backend):
    def build(folder, **overrides):
        return backend.module("predictor").Predictor(folder, "cpu", **overrides)

    return build


def test_size_and_options_come_from_the_folder(predictor):
    assert (predictor.height, predictor.width) == (HEIGHT, WIDTH)
    assert predictor.options.use_stereo and predictor.options.num_layers == 18


def test_disparity_of_images_of_any_size(backend, predictor, images):
    disparity = predictor.disparity(images)
    assert disparity.shape == (3, HEIGHT, WIDTH) and disparity.dtype == np.float32
    assert disparity.min() > LOW and disparity.max() < HIGH
    with backend.no_gradients():
        array = images[0].transpose(2, 0, 1)[None] / np.float32(255)
        expected = backend.array(predictor.method.predict({"image": backend.tensor(array)})["disparity"])[
            0, 0
        ]
    assert_close(disparity[0], expected, "operator")


def test_an_image_does_not_depend_on_its_company(predictor, images):
    together = predictor.disparity(images)
    alone = np.concatenate([predictor.disparity([image]) for image in images])
    assert_close(alone, together, "operator")
    assert np.abs(together[0] - together[2]).max() > 1e-5


def test_post_processing_blends_with_the_mirrored_image(predictor, images):
    image = images[0]
    plain, mirrored = predictor.disparity([image]), predictor.disparity([image[:, ::-1]])[:, :, ::-1]
    found = predictor.disparity([image], post_process=True)
    assert found.dtype == np.float64
    assert_close(found, blend_mirrored(plain, mirrored), "operator")
    assert np.abs(found - plain).max() > 1e-5
    both = predictor.disparity_pair([image])
    np.testing.assert_array_equal(both[0], plain)
    np.testing.assert_array_equal(both[1], found)


def test_overrides(predictor, make, trained, images):
    other = make(trained, min_depth=0.5, max_depth=None, num_layers=None)
    sigmoid = (predictor.disparity(images[:1]) - LOW) / (HIGH - LOW)
    assert_close(other.disparity(images[:1]), sigmoid * (1 / 0.5 - LOW) + LOW, (1e-5, 0))


def test_official_folder_of_two_files(backend, whole_networks, make, trained_whole, tmp_path, images):
    """No options: the numbers beside the tensors of the encoder file tell the size."""
    extension = backend.module("checkpoint").EXTENSION
    others = {path.name for path in trained_whole.iterdir()} - {f"encoder{extension}", f"depth{extension}"}
    official = make(link_weights(trained_whole, tmp_path / "official", tuple(others)))
    assert (official.height, official.width, official.options.use_stereo) == (HEIGHT, WIDTH, True)
    np.testing.assert_array_equal(official.disparity(images), make(trained_whole).disparity(images))


def test_encoder_with_classifier_and_without_counters(
    backend, whole_networks, make, trained_whole, tmp_path, images
):
    """Official encoder files carry the backbone's classifier; old ones have no counters."""
    checkpoint = backend.module("checkpoint")
    name = f"encoder{checkpoint.EXTENSION}"
    folder = link_weights(trained_whole, tmp_path / "old", (name,))
    state = checkpoint.read_weights(trained_whole / name)
    state = {key: array for key, array in state.items() if not key.endswith("num_batches_tracked")}
    shape = (1000, 512) if backend.name == "torch" else (512, 1000)
    classifier = {"encoder.fc.weight": np.zeros(shape, np.float32)}
    classifier["encoder.fc.bias"] = np.zeros(1000, np.float32)
    checkpoint.write_weights(folder / name, state | classifier, {})
    np.testing.assert_array_equal(make(folder).disparity(images), make(trained_whole).disparity(images))


def test_a_run_stands_for_its_weights(make, trained):
    for folder in (trained.parent.parent, trained.parent, str(trained.parent)):
        assert make(folder).folder == trained


def test_folder_is_not_there_or_not_whole(backend, make, trained, tmp_path):
    with pytest.raises(UserError, match="absent: no such folder of weights"):
        make(tmp_path / "absent")
    extension = backend.module("checkpoint").EXTENSION
    folder = link_weights(trained, tmp_path / "part", (f"depth{extension}",))
    with pytest.raises(UserError, match=rf"lacks depth\{extension}; it holds .*encoder\{extension}"):
        make(folder)


def test_files_exchanged(backend, make, trained, tmp_path):
    extension = backend.module("checkpoint").EXTENSION
    folder = link_weights(trained, tmp_path / "mixed", (f"depth{extension}",))
    (folder / f"depth{extension}").symlink_to(trained / f"pose{extension}")
    with pytest.raises(UserError, match=rf"depth\{extension}: the weights do not fit the network"):
        make(folder)


def test_content_that_is_no_weights(backend, make, trained, tmp_path):
    """Nothing in a file is executed, and whatever else lies in it is refused in one line."""
    extension = backend.module("checkpoint").EXTENSION
    name = f"encoder{extension}"
    folder = link_weights(trained, tmp_path / "odd", (name,))
    for content in (b"", b"text", b"PK\3\4", b"\x80\x02cos\nsystem\n(S'touch owned'\ntR."):
        (folder / name).write_bytes(content)
        with pytest.raises(UserError) as error:
            make(folder)
        assert str(error.value).startswith(str(folder / name)) and "\n" not in str(error.value)
