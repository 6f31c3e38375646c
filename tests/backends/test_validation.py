"""Validation on the whole list, the best checkpoint, and what is kept of a loss that is not finite."""

import json

import numpy as np
import pytest

from core.datasets.joined import JoinedDataset
from core.errors import UserError
from core.evaluation.metrics import LOG_NAMES
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing
from core.options.parsing import parse
from core.training.processes import Processes
from core.training.validation import NotFiniteError
from tests.backends.drive import training

SMALL = ["--width", 64, "--validation"]


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
    trainer = make(backend, drive, runs, "run", "stereo", *SMALL, "--num_epochs", 3, "--batch_size", 4)
    everything, calls = trainer.validation.everything, []

    def told(goes_on):
        calls.append(everything(goes_on))
        return calls[-1] | {"de/abs_rel": (0.3, 0.1, 0.2)[len(calls) - 1]}

    monkeypatch.setattr(trainer.validation, "everything", told)
    trainer.run()
    entries = lines(runs / "run", "validation")
    assert [entry["step"] for entry in entries] == [1, 2, 3]  # steps done
    assert set(LOG_NAMES) | {"loss", "photometric/0", "smoothness/3"} <= set(calls[0])
    models = runs / "run" / "models"
    record = json.loads((models / "weights_best" / "checkpoint.json").read_text())
    assert record["step"] == 2 and record["values"]["de/abs_rel"] == 0.1
    checkpoint = backend.module("checkpoint")
    for file in (models / "weights_1").glob(f"*{checkpoint.EXTENSION}"):
        best = checkpoint.read_weights(models / "weights_best" / file.name)
        for name, array in checkpoint.read_weights(file).items():
            np.testing.assert_array_equal(array, best[name], err_msg=name)


def test_further_lists_have_their_name_in_front(backend, drive, runs, monkeypatch):
    """The numbers of the first are those that it has alone; who ends it in the middle of the first gets no others."""
    trainer = make(backend, drive, runs, "run", "stereo", *SMALL, "--num_epochs", 0, "--batch_size", 4)
    alone = trainer.validation.everything(lambda: True)
    both = JoinedDataset([trainer.val_set, trainer.val_set], [1, 1])
    listings = [Listing("kitti", str(drive), split) for split in ("one", "lists/other")]
    monkeypatch.setattr(type(trainer.options), "listings", lambda self, part: listings)
    validation = type(trainer.validation)(trainer.options, trainer.method, trainer.device, both)
    further = {f"other/{name}": value for name, value in alone.items()}
    assert validation.everything(lambda: True) == alone | further
    assert validation.everything(lambda: False).keys() == alone.keys()


def test_the_means_do_not_depend_on_the_batches(backend, drive, runs):
    """In evaluation mode, an incomplete last batch counted by its size; and nothing of the training moves."""
    means = []
    checkpoint = backend.module("checkpoint")
    for size in (1, 2, 4):
        trainer = make(backend, drive, runs, "run", "stereo", *SMALL, "--batch_size", size)
        before = {name: checkpoint.network_state(network) for name, network in trainer.networks.items()}
        means.append(trainer.validation.everything(lambda: True))
        for name, network in trainer.networks.items():
            for key, array in checkpoint.network_state(network).items():
                np.testing.assert_array_equal(array, before[name][key])
    for other in means[1:]:
        assert other == pytest.approx(means[0], rel=1e-4)


def test_the_protocol_of_the_run_measures(backend, drive, runs):
    """The log's batch and the whole list, by another protocol than Monodepth2's own, which has other names."""
    trainer = make(backend, drive, runs, "run", "stereo", *SMALL, "--protocol", "make3d")
    names = {"de/abs_rel", "de/sq_rel", "de/rms", "de/log10"}
    values, maps, _, truths = trainer.validation.one_batch(0)
    logged = backend.module("validation").log_values(trainer.options, values, maps, truths)
    for found in (logged, trainer.validation.everything(lambda: True)):
        assert {name for name in found if name.startswith(("de/", "da/"))} == names


def test_depth_is_along_the_axis_where_there_are_rays(backend):
    disparity, rays = np.full((1, 1, 2, 2), 0.5, np.float32), np.zeros((1, 3, 2, 2), np.float32)
    rays[:, 0], rays[:, 2] = 0.6, 0.8
    maps = {"disparity": backend.tensor(disparity)}
    predicted = backend.module("validation").predicted_disparity
    np.testing.assert_array_equal(predicted(maps), disparity)
    found = predicted(maps | {"rays": backend.tensor(rays)})
    np.testing.assert_allclose(1 / found, np.full((1, 1, 2, 2), 2 * 0.8), rtol=1e-6)


def test_the_log_is_validated_by_a_function_of_the_step(backend, drive, runs):
    trainer = make(backend, drive, runs, "run", "stereo", *SMALL)
    first, _, _, truths = trainer.validation.one_batch(5)
    assert len(truths) == 2 and all(truth.depth.shape == (64, 128) for truth in truths)
    trainer.validation.one_batch(1)
    assert trainer.validation.one_batch(5)[0] == first


def test_a_batch_that_gives_no_finite_loss_is_kept(backend, drive, runs):
    """With the weights it met: the error comes again from what was kept."""
    more = ["--width", 64, "--learning_rate", 1e30]
    with pytest.raises(UserError) as caught:
        make(backend, drive, runs, "run", "stereo", *more).run()
    folder = runs / "run" / "nonfinite_step_1"
    assert "step 1: the loss is not finite (loss nan, photometric/0 nan" in str(caught.value)
    assert (
        f".jpg; lower --learning_rate or look at these images; batch and weights are kept in {folder}"
        in str(caught.value)
    )
    assert not (runs / "run" / "models").exists()
    kept = dict(np.load(folder / "batch.npz"))
    again = make(backend, drive, runs, "again", "stereo", "--width", 64, "--load_weights_folder", folder)
    with pytest.raises(UserError, match="the loss is not finite"):
        again.train_step(1, [kept])
    assert not (runs / "again").exists()  # nothing is kept outside of `run`


def test_every_process_keeps_its_own_batch(backend, drive, runs):
    trainer = make(backend, drive, runs, "run", "stereo", "--width", 64)
    arrays = next(trainer._batches(epoch=0))

    def not_finite(step, parts):
        raise NotFiniteError("the loss is not finite", arrays)

    trainer.train_step, trainer.processes = not_finite, Processes(rank=1, count=1)
    trainer._batches = lambda epoch, first=0: (sample for sample in ())
    with pytest.raises(UserError, match="nonfinite_step_0_rank1"):
        trainer.run()
    assert (runs / "run" / "nonfinite_step_0_rank1" / "batch.npz").is_file()


def test_a_stuck_scale_is_said(backend, drive, runs, capsys):
    trainer = make(backend, drive, runs, "run", "stereo", "--width", 64, "--num_epochs", 3)
    losses = trainer.method.losses

    def far(batch):
        found = losses(batch)
        found.maps["sigmoid_1"] = found.maps["sigmoid_1"] * 0
        return found

    trainer.method.losses = far
    trainer.run()
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1 and "scale 1 predicts max_depth for every pixel" in warnings[0]
