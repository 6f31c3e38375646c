"""What every method has to be, whichever it is: the contract of `backends/<each>/methods/base.py`, at its `SMALL` size.

`tiny` (`tests/tiny`) is among them: what it has and the published methods do not must work all the same.
"""

import dataclasses
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from backends import BACKENDS, installed_backends
from core.errors import UserError
from core.evaluation.comparison import z_disparity
from core.options import OPTIONS
from core.parity.request import Request
from core.prediction import onnx_file
from core.weights.families.base import numbers_in
from core.weights.folder import Folder
from tests.scripts import succeeds
from tests.tiny.register import NAME
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("tiny")

METHODS = list(dict.fromkeys([*OPTIONS, NAME]))
# `tiny` is resumed where an epoch ends, and in its second; the first within its only one; the others from tests/slow.
RESUMED = {METHODS[0]: 1, NAME: 2}
# Whose ONNX file is made in every run; tests/slow makes that of all. Of Monodepth2's test_export.py says more.
EXPORTED = (NAME,)


@pytest.fixture(scope="module", params=METHODS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def options(tiny, name):
    """The cheapest legal setting."""
    options = OPTIONS[name](**OPTIONS[name].SMALL, device="cpu")
    options.validate()
    return options


@pytest.fixture(scope="module")
def question(options):
    """A batch, weights and random numbers that are the same everywhere."""
    return Request.make(options, steps=1)


@pytest.fixture(scope="module")
def batch(backend, question):
    """The batch as tensors; not to be changed."""
    return backend.batch(question.batch, "float32")


@pytest.fixture(scope="module")
def method(backend, question):
    """With the random numbers of the question, and its weights at first: tests may move them, and set the mode."""
    return backend.module("parity").build(question, "float32")


def inputs_of(method, batch, optional):
    """What `predict` takes, of made-up numbers where the batch has none."""
    image = batch["image_0_0"]
    made = {"image": image}
    for name, entry in method.inputs.items():
        if name not in made and (entry.required or optional):
            made[name] = image.mean() + 0 * image[:, :1].expand(
                image.shape[0], entry.channels, *image.shape[2:]
            )
    return made


@pytest.fixture(scope="module")
def evaluated(backend, method, batch):
    """In evaluation mode: losses early and late in a training, predictions, what was drawn, which tensors changed."""
    drawn, losses, kept, draw = [], {}, method.progress, Request.draw
    with pytest.MonkeyPatch.context() as patch, backend.no_gradients():
        patch.setattr(Request, "draw", lambda self, name, *how: drawn.append(name) or draw(self, name, *how))
        method.eval()
        before = states(backend, method)
        for method.progress in (0.0, 1.0):
            losses[method.progress] = method.losses(batch | {"augmented_0": batch["image_0_0"]})
        given = {optional: inputs_of(method, batch, optional) for optional in (False, True)}
        predicted = {False: method.predict(given[False])}
        predicted[True] = (
            method.predict(given[True]) if len(given[True]) > len(given[False]) else predicted[False]
        )
        after = states(backend, method)
    method.progress = kept
    changed = [name for name, array in after.items() if (array != before[name]).any()]
    assert before and before.keys() == after.keys()
    return SimpleNamespace(losses=losses, predicted=predicted, drawn=drawn, changed=changed)


@pytest.fixture(scope="module")
def stepped(backend, method, batch, options):
    """A step of training: losses twice, each from another random state of the framework; gradients; what moved."""
    method.train()
    losses, drawn = [], []
    for seed in (1, 2):
        backend.module("tensors").seed_everything(seed)
        losses.append(method.losses(method.prepare(batch)))
        following = backend.array(backend.tensors.draw("any", (4,), "uniform"))
        backend.module("tensors").seed_everything(seed)
        drawn.append((backend.array(backend.tensors.draw("any", (4,), "uniform")), following))
    numbers = [backend.array(found.loss) for found in losses]
    named = dict(backend.module("checkpoint").named_parameters(method.networks()))
    before = {name: backend.array(parameter).copy() for name, parameter in named.items()}
    backend.step(backend.adam(method.parameter_groups(), options.learning_rate), losses[1].loss)
    moved = {name for name, parameter in named.items() if (backend.array(parameter) != before[name]).any()}
    trained = [parameter for group in method.parameter_groups() for parameter in group["params"]]
    gradients = [backend.array(parameter.grad) for parameter in trained if parameter.grad is not None]
    return SimpleNamespace(
        losses=losses[1],
        numbers=numbers,
        drawn=drawn,
        named=named,
        moved=moved,
        trained=trained,
        gradients=gradients,
    )


def states(backend, method):
    """All tensors of all files, `{"depth.name": array}`."""
    state_of = backend.module("checkpoint").network_state
    return {
        f"{file}.{name}": array
        for file, network in method.networks().items()
        for name, array in state_of(network).items()
    }


def assert_same(first, second):
    """Bit for bit."""
    assert first.keys() == second.keys() and first
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


# ---- names, groups, shapes -------------------------------------------------------------------------------------


def test_files_are_named(method):
    files = list(method.networks())
    assert files and len(set(map(str.lower, files))) == len(files)
    assert set(method.depth_networks) <= set(files) and set(method.pose_networks) <= set(files)
    assert set(method.scalars()) <= set(files)
    assert "image" in method.inputs and method.inputs["image"].required


def test_every_tensor_lies_in_a_file(backend, method):
    """Nothing that is trained or kept would be lost."""
    inside = {id(p) for network in method.networks().values() for p in network.parameters()}
    assert {id(parameter) for parameter in method.parameters()} == inside
    assert len(states(backend, method)) >= len(inside)


def test_groups_hold_what_is_trained_and_nothing_else(backend, method, options):
    groups = method.parameter_groups()
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = {id(p) for p in method.parameters() if backend.is_trainable(p)}
    assert len(set(grouped)) == len(grouped) and set(grouped) == trainable
    assert all(set(group) <= {"params", "weight_decay"} for group in groups)
    for step in (0, 1, 1000):
        rates = options.rates(step, 10)
        assert len(rates) == len(groups) and all(rate > 0 for rate in rates)


def test_losses_in_training(backend, stepped, batch):
    """A finite scalar with a gradient; what is for the log and for pictures is without."""
    losses = stepped.losses
    assert tuple(losses.loss.shape) == () and np.isfinite(backend.array(losses.loss))
    assert losses.terms and all(tuple(term.shape) == () for term in losses.terms.values())
    assert all(np.isfinite(backend.array(term)) for term in losses.terms.values())
    scalars, maps = [losses.loss, *losses.terms.values()], list(losses.maps.values())
    assert {backend.array(scalar).dtype for scalar in scalars} == {np.dtype(np.float32)}
    assert len({str(backend.device_of(tensor)) for tensor in [*scalars, *maps, batch["image_0_0"]]}) == 1
    assert [name for name, tensor in losses.maps.items() if not backend.is_detached(tensor)] == []
    assert all(np.isfinite(gradient).all() for gradient in stepped.gradients)
    assert sum(gradient.any() for gradient in stepped.gradients) > len(stepped.trained) / 2


def test_a_step_moves_what_is_trained_alone(stepped):
    """Parameters outside the groups keep their bits."""
    grouped = {id(parameter) for parameter in stepped.trained}
    trained = {name for name, parameter in stepped.named.items() if id(parameter) in grouped}
    assert stepped.moved <= trained and len(stepped.moved) > len(trained) / 2


def test_the_disparity(backend, evaluated, options):
    """(B, 1, h, w) and above 0, with the inputs that are required and with all; it changes no tensor."""
    for found in evaluated.predicted.values():
        disparity = backend.array(found["disparity"])
        count, channels, height, width = disparity.shape
        assert (count, channels) == (options.batch_size, 1)
        assert 0 < height <= options.height and height * options.width == width * options.height
        assert disparity.dtype == np.float32 and (disparity > 0).all() and np.isfinite(disparity).all()
    assert evaluated.changed == []


def test_the_disparity_of_the_losses_is_the_prediction(backend, evaluated):
    maps, expected = evaluated.losses[1.0].maps, evaluated.predicted[False]["disparity"]
    if "disparity" in maps:
        # Not exactly: a method may pass several images at once, whose kernels round otherwise than those of one.
        assert_close(backend.array(maps["disparity"]), backend.array(expected), "operator")


def test_motion(backend, method, batch, options):
    """Rigid transforms of every source, or an error that names the cure."""
    if not method.pose_networks:
        with pytest.raises(UserError, match="no pose network"):
            method.pose_frames()
        return
    frames = method.pose_frames()
    assert frames[0] == 0 and len(set(frames)) == len(frames) > 1
    method.eval()
    with backend.no_gradients():
        found = method.T_sources_target([batch["image_0_0"] for _ in frames])
    assert len(found) == len(frames) - 1
    for T in map(backend.array, found):
        assert T.shape == (options.batch_size, 4, 4)
        assert_close(
            T[:, :3, :3] @ T[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (len(T), 1, 1)), "operator"
        )


# ---- what is random --------------------------------------------------------------------------------------------


def test_nothing_is_drawn_in_evaluation(evaluated):
    assert evaluated.drawn == []


def test_all_that_is_random_is_drawn(stepped):
    """With equal numbers from `draw`, the framework's own random state changes nothing, and is not touched."""
    assert stepped.numbers[0] == stepped.numbers[1]
    for expected, following in stepped.drawn:
        assert_close(following, expected, "exact")


def test_progress_is_kept_by_whom_it_changes(backend, method, evaluated):
    early, late = (backend.array(evaluated.losses[progress].loss) for progress in (0.0, 1.0))
    assert early == late or any("progress" in numbers for numbers in method.scalars().values())


# ---- files -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def epochs(name):
    """How long `runs` are; 0 leaves initial weights."""
    return RESUMED.get(name, 0)


@pytest.fixture(scope="module")
def ran(tiny, backend, name, drive, epochs, tmp_path_factory):
    """A training that is over: its trainer, all tensors at its end, the folder of its `runs`."""
    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:  # no wait for the disk, which only a loss of power would need
        patch.setattr("core.files.whole._synchronise", lambda path: None)
        trainer = make_trainer(backend, name, drive, folder / "whole", epochs)
        save = trainer.save

        def save_and_copy(*arguments):
            save(*arguments)
            shutil.copytree(folder / "whole", folder / str(trainer.log.step), copy_function=copy)

        trainer.save = save_and_copy
        # One within the last epoch; and where an epoch ends.
        steps = trainer.steps_per_epoch
        often = {"save_steps": steps + 1 if name == NAME else max(1, steps // 2), "save_frequency": 1}
        trainer.options = dataclasses.replace(trainer.options, **often)
        trainer.run()
    yield SimpleNamespace(trainer=trainer, end=states(backend, trainer.method), folder=folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def runs(ran):
    """A training as `whole/run`; as `<step>/run` what a kill right after the checkpoint of that step would leave."""
    return ran.folder


def copy(source, target):
    """Weights, which are large and never written into, become links."""
    (os.link if "models" in source else shutil.copy2)(source, target)


def make_trainer(backend, name, drive, folder, epochs, resume=False):
    """A trainer on the rendered drive."""
    data = {"data_path": str(drive), "split": str(drive / "splits"), "num_workers": 1}
    run = {"log_dir": str(folder), "model_name": "run", "num_epochs": epochs, "log_frequency": 2}
    options = OPTIONS[name](
        **OPTIONS[name].SMALL,
        **data,
        **run,
        backend=backend.name,
        device="cpu",
        validation=False,
        resume=resume,
    )
    options.validate()
    return backend.module("trainer").Trainer(options, pretrained=False)


def contents(backend, folder):
    """All arrays of a checkpoint: weights, numbers beside them, moments."""
    from safetensors.numpy import load_file

    checkpoint = backend.module("checkpoint")
    found = dict(load_file(folder / checkpoint.STATE_FILE))
    for path in folder.glob(f"*{checkpoint.EXTENSION}"):
        found |= {f"{path.stem}.{name}": array for name, array in checkpoint.read_weights(path).items()}
    return found


@pytest.mark.parametrize("name", RESUMED, indirect=True)
def test_resumed_to_the_bit(backend, name, drive, runs, epochs, tmp_path, monkeypatch):
    """From a checkpoint inside an epoch."""
    assert_resumed(backend, name, drive, runs, epochs, tmp_path, monkeypatch, "middle")


@pytest.mark.parametrize("name", [NAME], indirect=True)
def test_resumed_where_an_epoch_ends(backend, name, drive, runs, epochs, tmp_path, monkeypatch):
    """That is the trainer's matter, whichever the method."""
    assert_resumed(backend, name, drive, runs, epochs, tmp_path, monkeypatch, "end")


def assert_resumed(backend, name, drive, runs, epochs, tmp_path, monkeypatch, where):
    """The end is that of the run that nothing happened to."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)
    steps = sorted(int(path.name) for path in runs.iterdir() if path.name != "whole")
    step = steps[-2 if where == "middle" else 0]
    shutil.copytree(runs / str(step), tmp_path / "again", copy_function=copy)
    trainer = make_trainer(backend, name, drive, tmp_path / "again", epochs, resume=True)
    assert trainer.start.step == step and trainer.start.ends_epoch == (where == "end")
    assert step // trainer.steps_per_epoch == epochs - 1
    assert trainer.steps_per_epoch > 1
    trainer.run()
    last = f"run/models/weights_{epochs - 1}"
    assert_same(contents(backend, runs / "whole" / last), contents(backend, tmp_path / "again" / last))
    scalars = [
        (folder / "run" / "scalars.jsonl").read_text() for folder in (runs / "whole", tmp_path / "again")
    ]
    assert scalars[0] == scalars[1]
    shutil.rmtree(tmp_path)


def test_a_step_and_a_validation(backend, ran):
    """Finite numbers by which one checkpoint is better than another; the tensors and random numbers are left alone."""
    trainer = ran.trainer
    assert all(np.isfinite(list(trainer.dry_run().values())))
    before = states(backend, trainer.method)
    backend.module("tensors").seed_everything(1)
    following = backend.array(backend.tensors.draw("any", (4,), "uniform"))
    backend.module("tensors").seed_everything(1)
    values = trainer.validation.everything(lambda: True)
    trainer.validation.one_batch(0)
    assert values and all(np.isfinite(list(values.values())))
    criterion, value = trainer.options.criterion(values)
    assert criterion and np.isfinite(value)
    assert_same(before, states(backend, trainer.method))
    assert_close(backend.array(backend.tensors.draw("any", (4,), "uniform")), following, "exact")


@pytest.fixture(scope="module")
def weights(runs, epochs):
    return runs / "whole" / "run" / "models" / f"weights_{epochs - 1 if epochs else 'initial'}"


@pytest.fixture(scope="module")
def loaded(backend, options, weights):
    """The networks of that folder, without the predictor."""
    method = backend.module("methods").make_method(options)
    backend.module("checkpoint").load_networks(method.networks(), weights, method.networks())
    extension = backend.module("checkpoint").EXTENSION
    numbers = {file: numbers_in(Folder(weights, extension)[file]) for file in method.depth_networks}
    method.complete(numbers)
    method.eval()
    return method


def test_saved_and_loaded_to_the_bit(backend, ran, weights, loaded):
    checkpoint, method = backend.module("checkpoint"), ran.trainer.method
    assert {path.name for path in weights.glob(f"*{checkpoint.EXTENSION}")} == {
        f"{file}{checkpoint.EXTENSION}" for file in method.networks()
    }
    for file, numbers in method.scalars().items():
        read = checkpoint.read_weights(weights / f"{file}{checkpoint.EXTENSION}")
        assert {name: read[name].item() for name in numbers} == numbers
    assert_same(ran.end, states(backend, loaded))


@pytest.fixture(scope="module")
def predictor(backend, weights):
    return backend.module("predictor").Predictor(weights, "cpu")


@pytest.fixture(scope="module")
def predicted(options, predictor):
    """The disparity of the photographs."""
    return predictor.disparity(photographs(options))


def photographs(options):
    """Bytes of images at the size of the network."""
    return np.random.default_rng(0).integers(0, 256, (2, options.height, options.width, 3), np.uint8)


def expected_disparity(backend, method, images):
    """What the networks give for photographs, without the predictor."""
    with backend.no_gradients():
        found = method.predict({"image": backend.tensors.to_image(images)})
    found = {name: backend.array(tensor) for name, tensor in found.items()}
    disparity = found["disparity"]
    return (z_disparity(disparity, found["rays"]) if "rays" in found else disparity)[:, 0]


def test_the_predictor_gives_the_same(backend, options, loaded, predictor, predicted):
    """From the folder that training wrote."""
    assert (predictor.height, predictor.width) == (options.height, options.width)
    assert type(predictor.options) is type(options)
    assert_close(predicted, expected_disparity(backend, loaded, photographs(options)), "operator")
    blended = predictor.disparity(photographs(options), post_process=True)
    assert blended.shape == predicted.shape and np.isfinite(blended).all()


def test_the_predictor_reads_the_other_backends_files(backend, options, weights, predicted, tmp_path):
    """Converted by the script."""
    (another,) = set(BACKENDS) - {backend.name}
    if "torch" not in installed_backends():
        pytest.skip("PyTorch, which writes .pth files, is not installed")
    succeeds("convert_weights.py", weights, "--to", another, "--output", tmp_path / "other", here=True)
    assert not list((tmp_path / "other").glob(f"*{backend.module('checkpoint').EXTENSION}"))
    other = backend.module("predictor").Predictor(tmp_path / "other", "cpu")
    assert_close(other.disparity(photographs(options)), predicted, "exact")


@pytest.mark.parametrize("name", EXPORTED, indirect=True)
def test_the_onnx_file_gives_the_same(backend, method, options):
    check_onnx_file(backend, method, options)


def check_onnx_file(backend, method, options):
    """ONNX Runtime computes what the framework does."""
    try:
        onnx_file.require_packages(backend.name)
    except UserError as error:
        pytest.skip(str(error))
    method.eval()
    size = (options.batch_size, options.height, options.width)
    model = onnx_file.finish(backend.module("export").to_onnx(method, *size), {})
    images = onnx_file.fixed_images(*size)
    with backend.no_gradients():
        expected = method.predict({"image": backend.tensors.to_image(images)})["disparity"]
    content = model.SerializeToString()
    assert onnx_file.largest_difference(content, images, backend.array(expected)[:, 0]) <= onnx_file.BOUND
