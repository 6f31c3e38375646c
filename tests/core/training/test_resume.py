"""What a run leaves to be continued from: records, whole and damaged checkpoints, leftovers of a killed process."""

import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options import OPTIONS
from core.options.methods.monodepth2 import Monodepth2Options
from core.training.interruption import Interrupted, Interruption
from core.training.processes import Processes, read_processes
from core.training.resume import (
    HARMLESS,
    Checkpoint,
    Run,
    best_so_far,
    find_run,
    remove_leftovers,
    remove_steps,
    resume_command,
    step_folder,
)
from tests.powers import forbidden

DEFAULTS = dataclasses.asdict(Monodepth2Options())


TRAIN, VAL = [SplitLine("a", frame, "l") for frame in range(10)], [SplitLine("b", 1, "l")]


def begin(train: list[SplitLine] = TRAIN, val: list[SplitLine] = VAL, **changes: object) -> Run:
    return Run.begin(Monodepth2Options(**changes), train, val, 1, "torch 2, cpu")  # type: ignore[arg-type]


def checkpoint(folder: Path, run: Run, step: int, values: dict[str, float] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "encoder.pth").write_bytes(bytes(range(100)))
    (folder / "options.yaml").write_text("seed: 0\n")
    (folder / "training_state.safetensors").write_bytes(state_of(step))
    Checkpoint(folder, run.started, step, values or {}).seal()
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a checkpoint after each of two epochs, and one in the third."""
    run = begin()
    run.write(tmp_path)
    for name, step in (("weights_0", 20), ("weights_1", 40), ("step_50", 50)):
        checkpoint(tmp_path / "models" / name, run, step)
    return run


# ---- which checkpoint ------------------------------------------------------------------------------------------


def test_the_newest_is_found_by_its_step(tmp_path: Path, run: Run) -> None:
    found, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert found.started == run.started
    assert newest is not None and (newest.folder.name, newest.step) == ("step_50", 50)
    assert notes == [f"continues after step 50 from {newest.folder}"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_newest_is_skipped_in_one_line(tmp_path: Path, run: Run, damage: str) -> None:
    file = tmp_path / "models" / "step_50" / "encoder.pth"
    content = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:50] if damage == "truncate" else b"\x01" + content[1:])
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 40
    assert notes[0] == f"{file.parent}: skipped, encoder.pth is damaged" and len(notes) == 2


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", '{"run": "x"', '{"run": "x", "step": 1, "files": 3, "more": 1}']
)
def test_a_damaged_record_is_skipped(tmp_path: Path, run: Run, record: str) -> None:
    (tmp_path / "models" / "step_50" / "checkpoint.json").write_text(record)
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 40
    assert notes[0] == f"{tmp_path / 'models' / 'step_50'}: skipped, its checkpoint.json is damaged"


def test_what_is_no_checkpoint_of_this_run_is_left_alone(tmp_path: Path, run: Run) -> None:
    models = tmp_path / "models"
    checkpoint(models / "weights_9", begin(seed=4), 200)  # of an earlier run
    checkpoint(models / "weights_best", run, 60)
    checkpoint(models / ".weights_3-abcdefgh", run, 80)  # was about to be renamed
    (models / "weights_7").mkdir()  # downloaded weights
    assert find_run(tmp_path, begin(), DEFAULTS)[1].step == 50  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", [0, 0o444])
@pytest.mark.parametrize("name", ["models", "models/step_50", "models/weights_0"])
def test_a_checkpoint_that_may_not_be_read_is_not_damaged(
    tmp_path: Path, run: Run, name: str, mode: int
) -> None:
    """A run that began anew, or went on from an older one, would replace it."""
    with (
        forbidden(tmp_path / name, mode),
        pytest.raises((UserError, PermissionError), match=f"{name}.*Permission|Permission.*{name}"),
    ):
        find_run(tmp_path, begin(), DEFAULTS)


@pytest.mark.parametrize("file", ["checkpoint.json", "encoder.pth", "training_state.safetensors"])
def test_a_file_of_a_checkpoint_that_may_not_be_read(tmp_path: Path, run: Run, file: str) -> None:
    path = tmp_path / "models" / "step_50" / file
    with forbidden(path), pytest.raises(PermissionError, match=file):
        find_run(tmp_path, begin(), DEFAULTS)


def test_records_that_may_not_be_read(tmp_path: Path, run: Run) -> None:
    """Neither is the run of another program, nor the best so far none."""
    best = checkpoint(tmp_path / "models" / "weights_best", run, 20, {"loss": 0.5})
    with forbidden(tmp_path / "run.json"), pytest.raises(PermissionError, match=r"run\.json"):
        find_run(tmp_path, begin(), DEFAULTS)
    with forbidden(best / "checkpoint.json"), pytest.raises(PermissionError, match=r"checkpoint\.json"):
        best_so_far(best, run)


def put_folder(folder: Path) -> None:
    """As `evaluate_depth.py --eval_split benchmark` does."""
    (folder / "benchmark_predictions").mkdir()
    (folder / "benchmark_predictions" / "0000000000.png").write_bytes(b"png")


def put_file(folder: Path) -> None:
    (folder / "disps_eigen_split.npy").write_bytes(b"npy")


def put_pipe(folder: Path) -> None:
    """Whoever opened it would wait for ever."""
    os.mkfifo(folder / "pipe")


def put_dead_link(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "absent")


@pytest.mark.parametrize("put", [put_folder, put_file, put_pipe, put_dead_link])
def test_what_lies_beside_a_checkpoint_does_not_hurt_it(
    tmp_path: Path, run: Run, put: Callable[[Path], None]
) -> None:
    for name in ("weights_1", "step_50"):
        put(tmp_path / "models" / name)
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 50 and len(notes) == 1


def test_a_file_of_a_checkpoint_that_is_a_folder_now(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "models" / "step_50" / "encoder.pth"
    file.unlink()
    file.mkdir()
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 40
    assert notes[0] == f"{file.parent}: skipped, encoder.pth is damaged"


def test_what_lies_beside_checkpoints(tmp_path: Path, run: Run) -> None:
    """Files that have their names, and a user's copies, are not touched and not in the way."""
    models = tmp_path / "models"
    (models / "weights_5").write_text("a note")
    (models / "step_60").write_text("a note")
    (models / "step_good").mkdir()
    (models / "step_7").mkdir()
    shutil.copytree(models / "step_50", models / "step_50 copy")
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 50 and len(notes) == 1
    before = sorted(path.name for path in models.iterdir())
    remove_steps(tmp_path, newest.folder)
    assert sorted(path.name for path in models.iterdir()) == before
    remove_steps(tmp_path, models / "weights_1")
    before.remove("step_50")
    assert sorted(path.name for path in models.iterdir()) == before


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    begin().write(tmp_path)
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is None and "no whole checkpoint yet; the run begins anew" in notes[0]


def test_the_best_is_that_of_this_run(tmp_path: Path) -> None:
    run = begin()
    folder = checkpoint(tmp_path / "weights_best", run, 20, {"loss": 0.5})
    assert best_so_far(folder, run) == {"loss": 0.5}
    assert best_so_far(folder, begin()) == {}
    assert best_so_far(tmp_path / "absent", run) == {}


# ---- what may change -------------------------------------------------------------------------------------------


def test_changes_are_named(tmp_path: Path, run: Run) -> None:
    with pytest.raises(
        UserError, match=r"changed: batch_size 4 \(was 12\), no_ssim True \(was False\); change"
    ):
        find_run(tmp_path, begin(batch_size=4, no_ssim=True), DEFAULTS)
    with pytest.raises(UserError, match=r"changed: processes 7 \(was 1\); change"):
        find_run(tmp_path, dataclasses.replace(begin(), processes=7), DEFAULTS)


def test_a_path_may_be_written_otherwise(tmp_path: Path) -> None:
    begin(load_weights_folder="runs/a").write(tmp_path)
    find_run(tmp_path, begin(load_weights_folder="./runs//a/"), DEFAULTS)


def test_lists_may_move_but_not_change(tmp_path: Path) -> None:
    begin(split="lists/own").write(tmp_path)
    find_run(tmp_path, begin(split="elsewhere/own"), DEFAULTS)
    with pytest.raises(UserError, match=r"changed: training samples 9 \(was 10\); change"):
        find_run(tmp_path, begin(TRAIN[1:], split="lists/own"), DEFAULTS)
    for lists in ([*TRAIN[1:], TRAIN[0]], VAL), (TRAIN, TRAIN):
        with pytest.raises(UserError, match="changed: lines of the training or the validation list; change"):
            find_run(tmp_path, begin(*lists, split="lists/own"), DEFAULTS)
    dataclasses.replace(begin(), lists="").write(tmp_path)  # of an older version
    find_run(tmp_path, begin(TRAIN[::-1]), DEFAULTS)
    begin(split="lists/own").write(tmp_path)
    with pytest.raises(UserError, match=r"split lists/other \(was lists/own\), lines of"):
        find_run(tmp_path, begin(TRAIN[::-1], split="lists/other"), DEFAULTS)


def test_harmless_changes_are_taken_over(tmp_path: Path, run: Run) -> None:
    of_any = {field.name for options in OPTIONS.values() for field in dataclasses.fields(options)}
    assert of_any >= HARMLESS
    found, _, _ = find_run(tmp_path, begin(num_epochs=40, device="cpu", num_workers=1), DEFAULTS)
    assert found.options["num_epochs"] == 40 and found.started == run.started


def test_another_machine_is_noted(tmp_path: Path, run: Run) -> None:
    now = dataclasses.replace(begin(), environment="torch 3, cuda")
    assert "it goes on, but not to the same last bits" in find_run(tmp_path, now, DEFAULTS)[2][0]


def test_an_older_record_lacks_new_options(tmp_path: Path, run: Run) -> None:
    record = json.loads((tmp_path / "run.json").read_text())
    del record["options"]["precision"], record["sha256"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    find_run(tmp_path, begin(), DEFAULTS)
    with pytest.raises(UserError, match=r"precision bf16 \(was 32\)"):
        find_run(tmp_path, begin(precision="bf16"), DEFAULTS)


BITS = [pytest.param(bit, id=f"bit {bit}") for bit in range(7)]


@pytest.mark.parametrize("bit", BITS)
def test_one_changed_bit_in_a_record(tmp_path: Path, run: Run, bit: int) -> None:
    """Wherever it is, the checkpoint is skipped: no step is done twice, no validation believed that was not."""
    folder = tmp_path / "models" / "step_50"
    checkpoint_record(folder, run, {"loss": 0.25}, [65536.0, 7])
    path = folder / "checkpoint.json"
    content = path.read_bytes()
    assert Checkpoint.read(folder)[0].step == 50
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
        try:
            assert Checkpoint.read(folder)[0] == Checkpoint(
                folder, run.started, 50, {"loss": 0.25}, [65536.0, 7]
            )
            assert content[place : place + 1].isspace()  # blanks between words say nothing
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass


def checkpoint_record(folder: Path, run: Run, values: dict, loss_scale: list) -> None:
    Checkpoint(folder, run.started, 50, values, loss_scale).seal()


def test_one_changed_bit_in_the_record_of_a_run(tmp_path: Path, run: Run) -> None:
    """`started` of another run would hide all checkpoints, and the run begin anew over them."""
    path = tmp_path / "run.json"
    content = path.read_text()
    path.write_text(content.replace(run.started, run.started.replace("20", "21", 1)))
    with pytest.raises(
        UserError, match=r"run\.json: not the record of a run \(it was changed, or is damaged\)"
    ):
        find_run(tmp_path, begin(), DEFAULTS)


def rewritten(path: Path, **changes: object) -> None:
    """As an older version, whose records had no digest, would have left it."""
    record = json.loads(path.read_text())
    del record["sha256"]
    path.write_text(json.dumps(record | changes))


def state_of(step: int) -> bytes:
    """A training state: two arrays, the second of which is the step."""
    entries = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    entries["step"] = {"dtype": "I64", "shape": [], "data_offsets": [4, 12]}
    head = json.dumps(entries).encode()
    return len(head).to_bytes(8, "little") + head + bytes(4) + step.to_bytes(8, "little", signed=True)


@pytest.mark.parametrize("step", [49, 51, 50 ^ 32])
def test_a_record_of_another_step_than_its_state(tmp_path: Path, run: Run, step: int) -> None:
    for name, number in (("weights_1", 40), ("step_50", 50)):
        folder = tmp_path / "models" / name
        (folder / "training_state.safetensors").write_bytes(state_of(number))
        Checkpoint(folder, run.started, number).seal()
    assert find_run(tmp_path, begin(), DEFAULTS)[1].step == 50  # type: ignore[union-attr]
    rewritten(tmp_path / "models" / "step_50" / "checkpoint.json", step=step)
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 40
    damage = next((note for note in notes if "skipped" in note), "")
    assert (
        step < 40
        or "checkpoint.json, which is of another step than training_state.safetensors, is damaged" in damage
    )


ODD = [
    ("step", "50"),
    ("step", True),
    ("step", -1),
    ("step", 5.5),
    ("run", 3),
    ("values", [1]),
    ("values", {"loss": "x"}),
]
ODD += [
    ("values", {"loss": None}),
    ("loss_scale", {"a": 1}),
    ("loss_scale", ["a", "b"]),
    ("loss_scale", [1.0]),
]
ODD += [("files", []), ("files", {"../../run.json": "0"}), ("files", None), ("more", 1)]


@pytest.mark.parametrize(("name", "value"), ODD)
def test_odd_types_in_a_record(tmp_path: Path, run: Run, name: str, value: object) -> None:
    folder = tmp_path / "models" / "step_50"
    rewritten(folder / "checkpoint.json", **{name: value})
    _, newest, notes = find_run(tmp_path, begin(), DEFAULTS)
    assert newest is not None and newest.step == 40
    assert notes[0] == f"{folder}: skipped, its checkpoint.json is damaged"
    assert best_so_far(folder, run) == {}


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"1" * 5000, b" " * (9 << 20)])
def test_records_that_are_none(tmp_path: Path, run: Run, content: bytes) -> None:
    (tmp_path / "models" / "step_50" / "checkpoint.json").write_bytes(content)
    assert find_run(tmp_path, begin(), DEFAULTS)[1].step == 40  # type: ignore[union-attr]
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UserError, match=r"run\.json: not the record of a run"):
        find_run(tmp_path, begin(), DEFAULTS)


@pytest.mark.parametrize("name", ["options", "samples", "started", "processes"])
def test_odd_types_in_the_record_of_a_run(tmp_path: Path, run: Run, name: str) -> None:
    rewritten(tmp_path / "run.json", **{name: [1]})
    with pytest.raises(UserError, match=r"run\.json: not the record of a run"):
        find_run(tmp_path, begin(), DEFAULTS)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no run to continue \(no run.json\); check --log_dir and --model_name"
    ):
        find_run(tmp_path, begin(), DEFAULTS)
    (tmp_path / "run.json").write_text('{"started": 3')
    with pytest.raises(
        UserError, match=r"run\.json: not the record of a run .*; start anew without --resume"
    ):
        find_run(tmp_path, begin(), DEFAULTS)


# ---- tidying up ------------------------------------------------------------------------------------------------


def test_leftovers_of_a_killed_process_go_and_nothing_else(tmp_path: Path, run: Run) -> None:
    models = tmp_path / "models"
    left = [
        models / ".weights_2-abcd_123",
        models / ".weights_best-old-abcd1234",
        models / ".step_60-abcdefgh",
    ]
    left += [tmp_path / ".nonfinite_step_3-abcdefgh"]
    for folder in left:
        folder.mkdir()
        (folder / "encoder.pth").write_bytes(b"half")
    files = [tmp_path / ".scalars-abcdefgh.jsonl", tmp_path / ".run-abcdefgh.json"]
    kept = [tmp_path / ".gitignore", tmp_path / "notes.txt", models / ".weights_2"]
    for file in (*files, *kept):
        file.touch()
    before = sorted(models.glob("[!.]*"))
    remove_leftovers(tmp_path)
    assert not any(path.exists() for path in (*left, *files)) and all(path.exists() for path in kept)
    assert sorted(models.glob("[!.]*")) == before


@pytest.mark.parametrize("name", ["weights_best", "weights_1"])
@pytest.mark.parametrize("tidy", [True, False])
def test_a_kill_between_two_renames(tmp_path: Path, run: Run, name: str, tidy: bool) -> None:
    """The older folder was moved aside, the new one not yet put in its place: the older one comes back."""
    models = tmp_path / "models"
    if name == "weights_best":
        checkpoint(models / name, run, 20, {"loss": 0.5})
    (models / name).rename(models / f".{name}-old-abcd1234")
    checkpoint(models / f".{name}-wxyz1234", run, 60)
    (remove_leftovers(tmp_path) if tidy else find_run(tmp_path, begin(), DEFAULTS))
    assert (models / name / "encoder.pth").is_file() and Checkpoint.read(models / name)[0].step in (20, 40)
    remove_leftovers(tmp_path)
    assert not list(models.glob(".*")) and (models / name).is_dir()


def test_older_steps_go(tmp_path: Path, run: Run) -> None:
    newest = checkpoint(step_folder(tmp_path, 55), run, 55)
    remove_steps(tmp_path, newest)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "step_55",
        "weights_0",
        "weights_1",
    ]


def test_the_command_that_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.orig_argv", ["python", "train.py", "--model_name", "a b"])
    monkeypatch.setattr("sys.argv", ["train.py", "--model_name", "a b", "--resume"])
    assert resume_command(Processes()) == "python train.py --model_name 'a b' --resume"
    four = Processes(0, 4, 0, ("torchrun", "--nproc_per_node", "4"))
    several = Processes(0, 4, 0)
    assert resume_command(several) == "the same launcher command with --resume"
    assert resume_command(four) == "torchrun --nproc_per_node 4 train.py --model_name 'a b' --resume"


# ---- signals and processes -------------------------------------------------------------------------------------


def test_a_signal_is_noted_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as interruption:
        assert interruption.number == 0
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)  # handed on by a launcher, at once
        assert interruption.number == signal.SIGTERM
        with pytest.raises(Interrupted) as caught:
            interruption.stop("saved")
    assert caught.value.code == 143 and str(caught.value) == "saved"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        later = time.monotonic() + 2
        monkeypatch.setattr("time.monotonic", lambda: later)
        with pytest.raises(Interrupted, match="nothing saved since the last checkpoint") as caught:
            signal.raise_signal(signal.SIGINT)
    assert caught.value.code == 130


def test_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_processes("torch") == read_processes("paddle") == Processes()
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert read_processes("torch").launcher == ()  # two machines
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    found = read_processes("torch")
    assert found.launcher == ("torchrun", "--nproc_per_node", "4")
    with pytest.raises(UserError, match="--device cuda:1: 4 processes would share it; use --device cuda"):
        found.check_device("cuda:1")
    found.check_device("cuda")
    Processes().check_device("cuda:1")
    assert (found.rank, found.count, found.local_rank, found.is_first) == (3, 4, 1, False)
    with pytest.raises(
        UserError, match=r"--backend paddle: .* paddle.distributed.launch --nproc_per_node 4 train"
    ):
        read_processes("paddle")


def test_the_gpu_that_paddle_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--devices 2,3` the first of its processes is to use GPU 2."""
    for name, value in (
        *(("PADDLE_TRAINER_ID", "0"), ("PADDLE_TRAINERS_NUM", "2"), ("PADDLE_LOCAL_SIZE", "2")),
        *(("PADDLE_RANK_IN_NODE", "0"), ("FLAGS_selected_gpus", "2")),
    ):
        monkeypatch.setenv(name, value)
    assert read_processes("paddle").local_rank == 2
    monkeypatch.delenv("FLAGS_selected_gpus")
    assert read_processes("paddle").local_rank == 0
