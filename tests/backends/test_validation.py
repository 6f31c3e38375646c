"""Validation on the whole list, the best checkpoint, and what is kept of a loss that is not finite.

Of `tiny`, but where Monodepth2's log is measured.
"""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from core.datasets.joined import JoinedDataset
from core.disparity import blend_mirrored
from core.errors import UserError
from core.evaluation.metrics import LOG_NAMES
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing
from core.options.parsing import parse
from core.training.processes import Processes
from core.training.validation import NotFiniteError, image_metrics
from tests.backends.drive import tiny_trainer, training
from tests.tiny.options import STEPS, TinyOptions

pytestmark = pytest.mark.usefixtures("tiny")

VALIDATED = "--validation"
CRITERION, _ = TinyOptions().criterion({"colour": 0.0, "loss": 0.0})


def make(backend, *arguments):
    return backend.module("trainer").Trainer(parse(Monodepth2Options, training(backend.name, *arguments)))


def lines(run, part):
    entries = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    return [entry for entry in entries if entry["part"] == part]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)


def test_the_whole_list_is_validated_and_the_best_kept(backend, drive, runs, monkeypatch):
    """The second of three epochs is made the best."""
    trainer = tiny_trainer(backend, drive, runs, "run", VALIDATED, "--num_epochs", 3)
    everything, calls = trainer.validation.everything, []

    def told(goes_on):
        calls.append(everything(goes_on))
        return calls[-1] | {CRITERION: (0.3, 0.1, 0.2)[len(calls) - 1]}

    monkeypatch.setattr(trainer.validation, "everything", told)
    trainer.run()
    entries = lines(runs / "run", "validation")
    assert [entry["step"] for entry in entries] == [STEPS, 2 * STEPS, 3 * STEPS]  # steps done
    assert {"loss", "colour", "anchor", "change", "de/abs_rel"} <= set(calls[0])
    models = runs / "run" / "models"
    record = json.loads((models / "weights_best" / "checkpoint.json").read_text())
    assert record["step"] == 2 * STEPS and record["values"][CRITERION] == 0.1
    checkpoint = backend.module("checkpoint")
    for file in (models / "weights_1").glob(f"*{checkpoint.EXTENSION}"):
        best = checkpoint.read_weights(models / "weights_best" / file.name)
        for name, array in checkpoint.read_weights(file).items():
            np.testing.assert_array_equal(array, best[name], err_msg=name)


def test_further_lists_have_their_name_in_front(backend, drive, runs, monkeypatch):
    """The numbers of the first are those that it has alone; who ends it in the middle of the first gets no others."""
    trainer = tiny_trainer(backend, drive, runs, "run", VALIDATED)
    alone = trainer.validation.everything(lambda: True)
    both = JoinedDataset([trainer.val_set, trainer.val_set], [1, 1])
    listings = [Listing("kitti", str(drive), split) for split in ("one", "lists/other")]
    monkeypatch.setattr(type(trainer.options), "listings", lambda self, part: listings)
    validation = type(trainer.validation)(trainer.options, trainer.method, trainer.device, both)
    further = {f"other/{name}": value for name, value in alone.items()}
    assert validation.everything(lambda: True) == alone | further
    assert validation.everything(lambda: False).keys() == alone.keys()


def test_the_means_do_not_depend_on_the_batches(backend, drive, runs, monkeypatch):
    """In evaluation mode, an incomplete last batch counted by its size; and nothing of the training moves.

    Of a loss that is the mean over its samples, as that of `tiny` is not.
    """
    means = []
    checkpoint = backend.module("checkpoint")
    shutil.copytree(drive / "splits", runs / "splits")
    texts = [(drive / "splits" / f"{part}_files.txt").read_text() for part in ("val", "train")]
    (runs / "splits" / "val_files.txt").write_text(texts[0] + texts[1].splitlines(keepends=True)[0])
    for size in (1, 2, 3):
        more = ["--split", runs / "splits", "--batch_size", size]
        trainer = tiny_trainer(backend, drive, runs, "run", VALIDATED, *more)
        assert len(trainer.val_set) == 3
        losses = trainer.method.losses

        def linear(batch, losses=losses):
            found = losses(batch)
            return dataclasses.replace(found, loss=sum(found.terms.values()))

        monkeypatch.setattr(trainer.method, "losses", linear)
        before = {name: checkpoint.network_state(network) for name, network in trainer.networks.items()}
        means.append(trainer.validation.everything(lambda: True))
        for name, network in trainer.networks.items():
            for key, array in checkpoint.network_state(network).items():
                np.testing.assert_array_equal(array, before[name][key])
    for other in means[1:]:
        assert other == pytest.approx(means[0], rel=1e-4)


def test_the_protocol_of_the_run_measures(backend, drive, runs):
    """The log's batch and the whole list, by another protocol than the method's own, which has other names."""
    trainer = tiny_trainer(backend, drive, runs, "run", VALIDATED, "--protocol", "make3d")
    names = {"de/abs_rel", "de/sq_rel", "de/rms", "de/log10"}
    values, maps, _, truths = trainer.validation.one_batch(0)
    logged = backend.module("validation").log_values(trainer.options, values, maps, truths)
    for found in (logged, trainer.validation.everything(lambda: True)):
        assert {name for name in found if name.startswith(("de/", "da/"))} == names


def test_what_is_measured_may_be_averaged_with_the_mirrored_image(backend, drive, runs, monkeypatch):
    """Where the method says so; the terms of the loss are as before."""
    trainer = tiny_trainer(backend, drive, runs, "run", VALIDATED)
    validation, validate = trainer.validation, backend.module("validation")
    plain, seen = validation.everything(lambda: True), []

    def recorded(options, disparities, truths):
        seen.append(disparities)
        return image_metrics(options, disparities, truths)

    monkeypatch.setattr(validate, "image_metrics", recorded)
    monkeypatch.setattr(type(trainer.options), "blended_validation", True)
    blended = validation.everything(lambda: True)
    assert blended.keys() == plain.keys() and blended["loss"] == plain["loss"]
    assert blended["de/abs_rel"] != plain["de/abs_rel"]
    image = trainer.val_set[0, 0]["image_0_0"]
    images = backend.tensors.to_image(np.stack([image, image[:, ::-1]]))
    once, mirrored = backend.array(trainer.method.predict({"image": images})["disparity"])
    np.testing.assert_allclose(seen[0][0], blend_mirrored(once, mirrored[..., ::-1]), rtol=1e-5)


def test_depth_is_along_the_axis_where_there_are_rays(backend):
    disparity, rays = np.full((1, 1, 2, 2), 0.5, np.float32), np.zeros((1, 3, 2, 2), np.float32)
    rays[:, 0], rays[:, 2] = 0.6, 0.8
    maps = {"disparity": backend.tensor(disparity)}
    predicted = backend.module("validation").predicted_disparity
    np.testing.assert_array_equal(predicted(maps), disparity)
    found = predicted(maps | {"rays": backend.tensor(rays)})
    np.testing.assert_allclose(1 / found, np.full((1, 1, 2, 2), 2 * 0.8), rtol=1e-6)


def test_the_log_is_validated_by_a_function_of_the_step(backend, drive, runs):
    """Monodepth2's, whose validation has the names of its log, and maps in which a stuck scale is seen."""
    trainer = make(backend, drive, runs, "run", "stereo", "--width", 64, VALIDATED)
    terms = {"loss", "photometric/0", "smoothness/3"}
    assert set(LOG_NAMES) | terms <= set(trainer.validation.everything(lambda: True))
    first, maps, _, truths = trainer.validation.one_batch(5)
    assert set(backend.module("validation").sigmoid_ranges(maps)) == {"0", "1", "2", "3"}
    assert len(truths) == 2 and all(truth.depth.shape == (64, 128) for truth in truths)
    trainer.validation.one_batch(1)
    assert trainer.validation.one_batch(5)[0] == first


@pytest.mark.parametrize("where", ["training", "validation"])
def test_a_batch_that_gives_no_finite_loss_is_kept(backend, drive, runs, monkeypatch, where):
    """With the weights it met, of which one is no number after a step: the error comes again from what was kept."""
    trainer, checkpoint = tiny_trainer(backend, drive, runs, "run"), backend.module("checkpoint")
    train_step = trainer.train_step

    def spoiling(step, arrays):
        found = train_step(step, arrays)
        state = checkpoint.network_state(trainer.networks["tiny"])
        state["depth.head.bias"] = state["depth.head.bias"] * np.float32("nan")
        checkpoint.load_network_state(trainer.networks["tiny"], state, "test")
        return found

    monkeypatch.setattr(trainer, "train_step", spoiling)
    if where == "training":  # without the log, whose batch for validation is the first to meet the weights
        monkeypatch.setattr(trainer, "_log", lambda *arguments: None)
        monkeypatch.setattr(trainer.validation, "one_batch", lambda step: ())
    with pytest.raises(UserError) as caught:
        trainer.run()
    folder = runs / "run" / "nonfinite_step_1"
    numbers = "loss nan, colour nan, anchor nan, change nan"
    found = re.match(rf"step 1: (the loss is not finite \({numbers}\) for .*\.jpg);", str(caught.value))
    assert found, str(caught.value)
    assert (
        f".jpg; lower --learning_rate or look at these images; batch and weights are kept in {folder}"
        in str(caught.value)
    )
    assert not (runs / "run" / "models").exists()
    kept = dict(np.load(folder / "batch.npz"))
    dataset = trainer.train_set if where == "training" else trainer.val_set
    said = [dataset.describe(int(index)) for index in kept["index"]]
    assert all(line in found[1] for line in said), (said, found[1])
    again = tiny_trainer(
        backend, drive, runs, "again", "--load_weights_folder", folder, "--accept", "weight_values"
    )
    with pytest.raises(UserError, match=re.escape(found[1])):
        if where == "training":
            again.train_step(1, [kept])
        else:
            again.validation.one_batch(0)
    assert not (runs / "again").exists()  # nothing is kept outside of `run`


def test_every_process_keeps_its_own_batch(backend, drive, runs):
    trainer = tiny_trainer(backend, drive, runs, "run")
    arrays = next(trainer._batches(epoch=0))

    def not_finite(step, parts):
        raise NotFiniteError("the loss is not finite", arrays)

    trainer.train_step, trainer.processes = not_finite, Processes(rank=1, count=1)
    trainer._batches = lambda epoch, first=0: (sample for sample in ())
    with pytest.raises(UserError, match="nonfinite_step_0_rank1"):
        trainer.run()
    assert (runs / "run" / "nonfinite_step_0_rank1" / "batch.npz").is_file()


def test_a_stuck_scale_is_said(backend, drive, runs, capsys):
    """By maps as Monodepth2's, see above: six entries of the log."""
    trainer = tiny_trainer(backend, drive, runs, "run", "--num_epochs", 3)
    losses = trainer.method.losses

    def far(batch):
        found = losses(batch)
        found.maps["sigmoid_1"] = found.maps["residual"] * 0
        found.maps["sigmoid_0"] = found.maps["sigmoid_1"] + 0.5
        return found

    trainer.method.losses = far
    trainer.run()
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warnings) == 2 and "scale 1 predicts max_depth for every pixel" in warnings[0]
    assert "scale 0 predicts one depth (sigmoid 0.500) for every pixel" in warnings[1]
