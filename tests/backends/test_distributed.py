"""Two processes that share every step, on the CPU, with the variables by which the framework's launcher tells them.

Started by that launcher, and how they end together, by an error or a signal: tests/slow/test_distributed_ends.py.
"""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest
from safetensors.numpy import load_file

import train
from core.datasets import open_dataset
from core.datasets.loader import batches
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
from core.training.processes import LAUNCHERS
from tests.backends.drive import tiny_trainer, tiny_training, training, weights_of
from tests.scripts import ENVIRONMENT, ROOT
from tests.tiny.options import STEPS
from tests.tiny.register import SITE

pytestmark = pytest.mark.usefixtures("tiny")

# train.py, as a user starts it; and before the processes part, the gradient of this one's half of a batch, averaged: in
# double precision, batch norms in evaluation mode.
WORKER = """
import runpy
import sys

import numpy as np
import pytest

from tests.backends.adapter import Adapter
from tests.backends.initial_values import draw_less
from tests.backends.narrow import make_narrow
from tests.backends.test_distributed import build

name, batch, gradients_file, *words = sys.argv[1:]
backend = Adapter(name)
distributed = backend.module("distributed")
disconnect = distributed.disconnect


def average_and_disconnect():
    draw_less(backend, pytest.MonkeyPatch())  # as this one does
    make_narrow(backend, pytest.MonkeyPatch())
    processes, method, arrays = distributed.find_processes(), build(backend), dict(np.load(batch))
    half = {name: array[processes.rank :: 2] for name, array in arrays.items()}
    method.losses(backend.batch(half, "float64")).loss.backward()
    parameters = dict(backend.module("checkpoint").named_parameters(method.networks()))
    stop = distributed.average_gradients(parameters.values(), flag=processes.rank == 1)
    if processes.is_first:
        gradients = {name: backend.array(p.grad) for name, p in parameters.items() if p.grad is not None}
        np.savez(gradients_file, stop=stop, **gradients)
    disconnect()


distributed.disconnect = average_and_disconnect
sys.argv = ["train.py", *words]
runpy.run_path("train.py", run_name="__main__")
"""


def build(backend):
    """A small method, the same in every process, in double precision and evaluation mode."""
    size = {"height": 64, "width": 64, "weights_init": "scratch"}
    options = Monodepth2Options(**size, use_stereo=True, frame_ids=[0, 1], pose_model_type="posecnn")
    backend.tensors.seed_everything(3)
    method = backend.module("methods.monodepth2").Monodepth2(options)
    backend.to_float64(method)
    method.eval()
    return method


def variables(backend, rank, ports):
    """What a launcher of two processes on this machine says to one of them."""
    found = dict(zip(LAUNCHERS[backend.name][0], (rank, 2, rank, 2), strict=True))  # those that we read
    if backend.name == "torch":
        return found | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ports[0]}
    ends = [f"127.0.0.1:{port}" for port in ports]
    return found | {
        **{"PADDLE_MASTER": ends[2], "PADDLE_CURRENT_ENDPOINT": ends[rank]},
        "PADDLE_TRAINER_ENDPOINTS": ",".join(ends[:2]),
    }


@pytest.fixture(scope="module")
def launched(tiny, backend, starter, drive, tmp_path_factory):
    """Two processes: the folder with the run `two`, `batch.npz` and `gradients.npz`."""
    folder = tmp_path_factory.mktemp("launched")
    words = training(backend.name, drive, folder, "run", "mono+stereo", "--width", 64, "--frame_ids", 0, 1)
    samples = open_dataset(parse(Monodepth2Options, words), "train")
    arrays = next(batches(samples, 0, 4, shuffle=False, seed=0, num_workers=0, drop_last=True))
    np.savez(folder / "batch.npz", **arrays)
    (folder / "worker.py").write_text(WORKER)
    files = folder / "worker.py", backend.name, folder / "batch.npz", folder / "gradients.npz"
    words = [*files, *tiny_training(backend.name, drive, folder, "two", "--validation")]
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [server.getsockname()[1] for server in servers]
    path = os.pathsep.join([str(SITE), str(ROOT)])
    started = [
        starter.start(words, folder, f"rank{rank}", PYTHONPATH=path, **variables(backend, rank, ports))
        for rank in range(2)
    ]
    for process in started:
        done = process.wait()
        assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    shutil.rmtree(folder)


def test_the_averaged_gradient_is_that_of_the_joined_batch(narrow, backend, launched):
    found = dict(np.load(launched / "gradients.npz"))
    assert found.pop("stop")  # only the second process wanted to
    method = build(backend)
    parameters = dict(backend.module("checkpoint").named_parameters(method.networks()))
    loss = method.losses(backend.batch(dict(np.load(launched / "batch.npz")), "float64")).loss
    expected = dict(zip(parameters, backend.gradients(loss, list(parameters.values())), strict=True))
    assert len(found) > 50 and set(found) <= set(expected)
    for name, gradient in found.items():
        bound = 1e-9 * max(np.abs(expected[name]).max(), 1e-9)
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=bound, err_msg=name)


def test_two_processes_train_as_one_that_accumulates(backend, drive, runs, launched):
    """By the scripts, as a user starts them: the same batches, the same gradient, the same update, bit for bit."""
    one = tiny_training(backend.name, drive, runs, "one", "--accumulate_steps", 2)
    if os.environ.get("OMP_NUM_THREADS") == "1":  # as in each of the two: the last bits depend on it
        train.main(one)
    else:
        environment = os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "train.py", *one], cwd=ROOT, env=environment, check=True, timeout=300)
    folders = [weights_of(runs, "one"), weights_of(launched, "two")]
    states = [load_file(folder / "training_state.safetensors") for folder in folders]
    assert states[0]["step"] == states[1]["step"] == STEPS and states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name], err_msg=name)
    assert (launched / "two" / "models" / "weights_best").is_dir()


def test_the_other_launcher_is_refused(backend, drive, runs, monkeypatch):
    other = {"torch": "PADDLE_TRAINERS_NUM", "paddle": "WORLD_SIZE"}[backend.name]
    monkeypatch.setenv(other, "2")
    words = {"torch": "torchrun", "paddle": "paddle.distributed.launch"}[backend.name]
    with pytest.raises(Exception, match=f"--backend {backend.name}: .*{words} --nproc_per_node 2 train.py"):
        tiny_trainer(backend, drive, runs, "run")


def test_a_dry_run_takes_one_process(backend, drive, runs, monkeypatch):
    number, rank = {"torch": ("WORLD_SIZE", "RANK"), "paddle": ("PADDLE_TRAINERS_NUM", "PADDLE_TRAINER_ID")}[
        backend.name
    ]
    monkeypatch.setenv(number, "2")
    monkeypatch.setenv(rank, "0")
    with pytest.raises(UserError, match="--dry_run runs in one process: leave the launcher out"):
        train.main(tiny_training(backend.name, drive, runs, "run", "--dry_run"))
