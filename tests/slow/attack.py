"""Attacks the commands: hostile and damaged files, kills, disks that are full, folders that are forbidden.

    .venv/bin/python -m tests.slow.attack                              both backends, 15 minutes
    .venv/bin/python -m tests.slow.attack --backend torch --seconds 60 --seed 3

Each attack is a command as a user types it, on a small drive and weights of `tiny`. Whatever happens, it ends with 0,
or with 2 and one line; nothing of a file is executed, nothing half-written is left, what is only read stays as it is,
no result holds a value that is not finite, no checkpoint is lost, and after a kill or a full disk the same command does
its work. The commands run one after the other in a process that has imported everything; one that is killed gets a
process of its own. The last lines are the sums; the exit code is 1 if an attack found anything else, which is told.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

import make_rays
from core.errors import run
from core.files.arrays import save_array
from core.files.video import write_video
from core.files.whole import EXTENSIONS
from core.weights import read_weights_file
from tests.backends.drive import make_drive, tiny_training
from tests.core.cameras.test_calibration import KALIBR
from tests.core.payloads import MARKER, PAYLOADS
from tests.core.weight_files import write_zip
from tests.powers import give_up_power
from tests.scripts import ENVIRONMENT, ROOT
from tests.slow.kills import replaced
from tests.tiny.register import register

LIMIT = 90.0  # seconds of one command, which takes some tenths: longer is a hang
MEMORY = 2048  # MiB that a command may take beyond what the imports take
LONGEST_LINE = 4000  # characters of a message
UNFINISHED = "-unfinished-"  # in the name of what is in the making
# What no command here does: whoever does was told to by a file.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
OF_LIBRARIES = ("uname", "lscpu", "nvidia")  # what they ask the system by a command
IMPORTS = {"torch": ["backends.torch.trainer", "torch._dynamo"], "paddle": ["backends.paddle.trainer"]}
SCRIPTS = (
    "train",
    "predict",
    "evaluate_depth",
    "convert_weights",
    "export_gt_depth",
    "make_split",
    "evaluate_pose",
)
SCRIPTS += ("check_data", "make_rays", "visualize_disparities")
WORDS = [
    b"",
    b"-1",
    b"nan",
    b"1e400",
    b"9" * 5000,
    b"\0",
    b"\xff\xfe",
    b"../" * 20,
    b"!!python/object:os.system",
]
WORDS += [b"[" * 20_000, b"\x1b[2J", b"0x10", b"1 2 3 4 5", b"{", b"&a [*a, *a]"]


CAMERA = "fx: 110\nfy: 110\ncx: 64\ncy: 32\nwidth: 128\nheight: 64\n"


@dataclass(frozen=True)
class Command:
    """A command: its name, its script, its words in the folder it is run in, and the files that it reads."""

    name: str
    script: str
    words: list[str]
    reads: list[str]  # patterns below the folder


def commands(backend: str) -> list[Command]:
    """What is attacked; all paths are below the current folder, results go to `out`."""
    here, images = f"--backend {backend} --device cpu", "drive/**/image_0*/data/*"
    lists, calibrations = "drive/splits/*.txt", "drive/*/*.txt"
    on_drive = (
        "--data_path drive --eval_split drive/splits --eval_mono --num_workers 0 --output out/metrics.json"
    )
    predict = f"{here} --load_weights_folder weights --output out --image_path"
    training = shlex.join(tiny_training(backend, Path("drive"), Path("out"), "run"))
    resume = shlex.join(tiny_training(backend, Path("drive"), Path("runs"), "run"))
    size, own = "--height 48 --width 64", "--dataset folder --data_path rides --split rides/splits"
    rows: list[tuple[str, str, str, list[str]]] = [
        ("predict", "predict.py", f"{predict} photos --save npy depth png", ["weights/*", "photos/*"]),
        ("predict a video", "predict.py", f"{predict} film.mp4", ["film.mp4"]),
        (
            "evaluate",
            "evaluate_depth.py",
            f"{here} {on_drive} --load_weights_folder weights",
            ["weights/*", "drive/splits/*", images],
        ),
        (
            "evaluate disparities",
            "evaluate_depth.py",
            f"{here} {on_drive} --ext_disp_to_eval disparities.npy",
            ["disparities.npy", "drive/splits/*.npz"],
        ),
        (
            "train",
            "train.py",
            f"{training} --config settings.yml",
            ["settings.yml", lists, images, calibrations],
        ),
        (
            "resume",
            "train.py",
            f"{resume} --num_epochs 2 --resume",
            ["runs/run/*.json*", "runs/run/*.yaml", "runs/run/models/*/*"],
        ),
        (
            "look at own images",
            "train.py",
            f"{here} --method tiny {size} {own} --batch_size 1 --num_workers 0 --dry_run",
            ["rides/**/*.txt", "rides/**/*.png", "rides/*.yaml"],
        ),
        ("check", "check_data.py", "--data_path drive --split drive/splits", [lists, images, calibrations]),
        ("convert", "convert_weights.py", "weights --to safetensors --output out/w", ["weights/*"]),
        (
            "export truth",
            "export_gt_depth.py",
            "--data_path drive --split lists",
            ["lists/*", "drive/**/velodyne_points/data/*", calibrations],
        ),
        ("make lists", "make_split.py", "--data_path photos --output out/lists", ["photos/*"]),
        (
            "evaluate a path",
            "evaluate_pose.py",
            "--trajectory path.txt --ground_truth truth.txt --output out",
            ["path.txt", "truth.txt"],
        ),
        (
            "evaluate motions",
            "evaluate_pose.py",
            "--ext_poses_to_eval poses.npy --ground_truth truth.txt --output out",
            ["poses.npy"],
        ),
        (
            "rays",
            "make_rays.py",
            f"--calibration camera.yaml --camera_name cam0 {size} --output out/rays.npz",
            ["camera.yaml"],
        ),
        ("rays of a file", "make_rays.py", f"--template rays.npz {size} --output out/rays.npz", ["rays.npz"]),
        ("pictures", "visualize_disparities.py", "disparities.npy --output out", ["disparities.npy"]),
    ]
    return [Command(name, script, shlex.split(words), reads) for name, script, words, reads in rows]


# ---- in the process of the commands ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A command in a folder, and what is done to it.

    Attributes:
        said: file for stderr.
        largest: bytes that a file may have, as on a full disk; 0: any number.
        dies_at: signal 9 when so many files in the making have been touched; 0: never.
    """

    command: Command
    folder: str
    said: str
    largest: int = 0
    dies_at: int = 0


def act(job: Job) -> tuple[int, int]:
    """Runs a script as its last line does; its exit code, and the largest memory of the process so far in MiB."""
    for descriptor, file in ((1, os.devnull), (2, job.said)):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(job.folder)
    sys.argv = [str(ROOT / job.command.script), *job.command.words]
    code: object = 1
    try:
        if job.largest:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest, resource.RLIM_INFINITY))
        run(__import__(job.command.script.removesuffix(".py")).main)
    except SystemExit as end:
        code = end.code
    except BaseException:
        resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (resource.RLIM_INFINITY,))
        traceback.print_exc()
    resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (resource.RLIM_INFINITY,))
    sys.stderr.flush()
    return int(code or 0) if isinstance(code, int | None) else 1, peak()


def peak() -> int:
    """The largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def work(jobs: Connection) -> None:
    """Runs what comes, one after the other, like an owner of files without root's power; says what was executed."""

    def hook(event: str, found: tuple) -> None:
        if event in FORBIDDEN and not any(name in str(found) for name in OF_LIBRARIES):
            os.write(2, f"EXECUTED {event} {found!r}\n".encode(errors="replace"))

    register()
    give_up_power()
    sys.addaudithook(hook)
    jobs.send((0, peak()))
    with contextlib.suppress(EOFError):
        while True:
            jobs.send(act(jobs.recv()))


def die(job: Job) -> None:
    """Runs one, in a process of its own that ends inside a write."""
    left = job.dies_at

    def hook(event: str, found: tuple) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.mkdir", "os.remove") and UNFINISHED in str(found[:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    register()
    sys.addaudithook(hook)
    sys.exit(act(job)[0])


class Worker:
    """The process that runs one command after the other; after a hang, or much memory, it is another."""

    def __init__(self, backend: str) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([*IMPORTS[backend], *SCRIPTS, "core.weights.conversion"])
        self.start()

    def start(self) -> None:
        """Starts it."""
        self.jobs, other = self.context.Pipe()
        with replaced(os.environ, ENVIRONMENT):
            self.process = self.context.Process(target=work, args=(other,), daemon=True)
            self.process.start()
        other.close()
        self.usual = self.jobs.recv()[1]

    def run(self, job: Job) -> tuple[int | None, str, int]:
        """The exit code, None of a hang; what was said; MiB beyond those of the imports."""
        self.jobs.send(job)
        code, memory = None, 0
        if self.jobs.poll(LIMIT):
            try:
                code, used = self.jobs.recv()
                memory = max(0, used - self.usual)
            except (EOFError, ConnectionResetError):  # it has crashed
                self.process.join()
                code = self.process.exitcode
        if code is None or not self.process.is_alive() or memory > MEMORY:
            self.stop()
            self.start()
        return code, spoken(job), memory

    def kill(self, job: Job, after: float) -> tuple[int | None, str]:
        """Runs one in a process of its own, that is killed after so many seconds, or by itself."""
        with replaced(os.environ, ENVIRONMENT):
            process = self.context.Process(target=die, args=(job,))
            process.start()
            process.join(after)
            hangs = process.is_alive() and after >= LIMIT
            process.kill()
            process.join()
        return (None if hangs else process.exitcode), spoken(job)

    def stop(self) -> None:
        """Ends it."""
        self.jobs.close()
        self.process.join(1)  # it ends by itself unless it hangs
        self.process.kill()
        self.process.join()


def spoken(job: Job) -> str:
    """What a command said on stderr."""
    said = Path(job.said)
    text = said.read_text(errors="replace")
    said.write_text("")
    return text


class Attacker:
    """Makes the world that the commands see, and attacks them in copies of it."""

    def __init__(self, backend: str, drive: Path, folder: Path, rng: random.Random) -> None:
        self.backend, self.folder, self.rng = backend, folder, rng
        self.attacks: dict[str, Counter[str]] = {}  # by kind, how they ended
        self.faults: list[str] = []
        self.commands = commands(backend)
        self.world, self.said = folder / "world", folder / "said"
        self.numbers = itertools.count()
        folder.mkdir()
        self.said.touch()
        self.worker = Worker(backend)
        self._make_world(drive)
        self.content = {path.relative_to(self.world): digest(path) for path in files(self.world)}

    def _make_world(self, drive: Path) -> None:
        world = self.world
        shutil.copytree(drive, world / "drive")
        shutil.copytree(world / "drive" / "splits", world / "lists")
        (world / "lists" / "gt_depths.npz").unlink()
        (world / "photos").mkdir()
        image = Image.open(next(world.glob("drive/**/image_02/data/*")))
        for number, ending in enumerate((".png", ".jpg", ".webp", ".png") * 4):
            image.save(world / "photos" / f"{number:03d}{ending}")
        (world / "settings.yml").write_text("learning_rate: 1e-4\nbatch_size: 2\nmirroring: true\n")
        lines = (world / "lists" / "test_files.txt").read_text().splitlines()
        save_array(world / "disparities.npy", np.full((len(lines), 48, 64), 0.1, np.float32))
        self._make_more(world, np.asarray(image.convert("RGB")))
        training = tiny_training(self.backend, world / "drive", world / "runs", "run")
        code, said, _ = self.run(Command("make", "train.py", training, []), world)
        assert code == 0, said
        shutil.copytree(world / "runs" / "run" / "models" / "weights_0", world / "weights")
        record = world / "runs" / "run" / "run.json"
        assert json.loads(record.read_text())["options"]["data_path"] == str(world / "drive")

    def _make_more(self, world: Path, pixels: np.ndarray) -> None:
        """A video, own images, paths, a camera."""
        write_video(world / "film.mp4", [pixels] * 3, 10.0)
        (world / "rides" / "ride").mkdir(parents=True)
        for number in range(6):
            shifted = np.roll(pixels, 2 * number, axis=1)
            Image.fromarray(shifted).save(world / "rides" / "ride" / f"{number:03d}.png")
        (world / "rides" / "splits").mkdir()
        for part in ("train", "val"):
            (world / "rides" / "splits" / f"{part}_files.txt").write_text("ride 2 l\nride 3 l\n")
        (world / "rides" / "intrinsics.yaml").write_text(CAMERA)
        rows = [f"1 0 0 {0.01 * n * n} 0 1 0 0 0 0 1 {n}" for n in range(30)]
        for name in ("path.txt", "truth.txt"):
            (world / name).write_text("\n".join(rows) + "\n")
        motions = np.tile(np.eye(4, dtype=np.float32), (29, 1, 1))
        motions[:, 2, 3] = -1
        save_array(world / "poses.npy", motions)
        (world / "camera.yaml").write_text(KALIBR)
        words = f"--calibration {world}/camera.yaml --camera_name cam0 --height 48 --width 64"
        make_rays.main([*words.split(), "--output", str(world / "rays.npz")])
        (world / "rays.png").unlink()

    def run(self, command: Command, folder: Path, largest: int = 0) -> tuple[int | None, str, int]:
        """See `Worker.run`."""
        return self.worker.run(Job(command, str(folder), str(self.said), largest))

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """The world, to be changed; of another name each time, for a process remembers what it has looked at."""
        place = self.folder / f"copy_{next(self.numbers)}"
        shutil.copytree(self.world, place, copy_function=os.link, ignore=lambda *_: ["runs"])
        shutil.copytree(self.world / "runs", place / "runs")  # a log is written into
        (place / "out").mkdir()
        yield place
        shutil.rmtree(place)

    def victim(self, command: Command, place: Path) -> Path:
        """A file that the command reads, no longer a link."""
        pattern = self.rng.choice([pattern for pattern in command.reads if any(place.glob(pattern))])
        path = self.rng.choice(sorted(path for path in place.glob(pattern) if path.is_file()))
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        return path

    # ---- the attacks -----------------------------------------------------------------------------------------------

    def nothing(self, command: Command) -> None:
        """Without an attack it does its work."""
        with self.copy() as place:
            self.judge("nothing", command, "nothing", place, self.run(command, place), works=True)

    def edit(self, command: Command) -> None:
        """One file is another."""
        with self.copy() as place:
            path = self.victim(command, place)
            how = self.rng.choice(list(EDITS))
            EDITS[how](self.rng, path)
            name = path.relative_to(place)
            self.judge("edits", command, f"{name} {how}", place, self.run(command, place), name)

    def kill(self, command: Command) -> None:
        """Signal 9, mostly inside a write; what has its name is whole, and then the command does its work."""
        inside = self.rng.random() < 0.75
        dies_at = self.rng.randint(1, 12) if inside else 0
        after = LIMIT if inside else self.rng.uniform(0.1, 2.0)
        with self.copy() as place:
            job = Job(command, str(place), str(self.said), dies_at=dies_at)
            code, said = self.worker.kill(job, after)
            what = f"killed at write {dies_at}" if inside else f"killed after {after:.2f} s"
            if code == -signal.SIGKILL:
                self.find(command, what, said, self.lost(command, place))
                found = self.run(self.continued(command, place), place)
                self.judge("kills", command, what, place, found, works=True)
            else:
                self.judge("kills that came too late", command, what, place, (code, said, 0), works=True)

    def full(self, command: Command) -> None:
        """No file may grow beyond a few bytes; then there is room, and the command does its work."""
        largest = int(2 ** self.rng.uniform(7, 15))
        with self.copy() as place:
            found = self.run(command, place, largest)
            self.judge("full disks", command, f"files of {largest} bytes", place, found)
            if found[0] == 2:
                found = self.run(self.continued(command, place), place)
                self.judge("after them", command, f"after files of {largest} bytes", place, found, works=True)

    def forbid(self, command: Command) -> None:
        """A file or folder that it reads, or the place of its results, is not to be read, entered or written."""
        with self.copy() as place:
            path = self.victim(command, place)
            chosen = self.rng.choice([path, path if path.parent == place else path.parent, place / "out"])
            mode = self.rng.choice([0, 0o444, 0o111, 0o555])
            chosen.chmod(mode)
            found = self.run(command, place)
            chosen.chmod(0o777)
            what = f"{chosen.relative_to(place)} of mode {mode:o}"
            self.judge("permissions", command, what, place, found)

    def continued(self, command: Command, place: Path) -> Command:
        """The command as it is typed after a kill."""
        words = [*command.words]
        if command.name == "train" and (place / "out" / "run" / "run.json").is_file():
            words.append("--resume")
        if command.name == "make lists" and (place / "out" / "lists").exists():
            words.append("--force")
        return replace(command, words=words)

    # ---- the verdict -----------------------------------------------------------------------------------------------

    def judge(
        self,
        kind: str,
        command: Command,
        attack: str,
        place: Path,
        found: tuple[int | None, str, int],
        changed: Path | None = None,
        works: bool = False,
    ) -> None:
        """Notes how a command ended, and what should not have happened.

        Args:
            changed: the file that was edited, below the place.
            works: whether it must have done its work.
        """
        code, said, memory = found
        self.attacks.setdefault(kind, Counter())[ending(code, said)] += 1
        faults = [*answers(code, said, works), *self.lost(command, place, changed)]
        faults += [f"left {path}" for path in sorted(place.rglob(f"*{UNFINISHED}*"))]
        if memory > MEMORY:
            faults.append(f"took {memory} MiB")
        if (place / MARKER).exists() or "EXECUTED" in said:
            faults.append("something in a file was executed")
        self.find(command, attack, said, faults)

    def find(self, command: Command, attack: str, said: str, faults: list[str]) -> None:
        """Tells of faults."""
        for fault in faults:
            line = f"{self.backend} {command.name}: {attack}: {fault}"
            print(line, *said.strip().splitlines()[-12:], sep="\n    ", flush=True)
            self.faults.append(line)

    def lost(self, command: Command, place: Path, changed: Path | None = None) -> list[str]:
        """What is wrong with the files that have their names: results are whole, all others as they were.

        A run that goes on writes its records, and takes the optimiser's moments out of an older checkpoint.
        """
        found = []
        for name, content in self.content.items():
            of_run = name.parts[0] == "runs" and name.suffix != EXTENSIONS[self.backend]
            if name == changed or (command.name == "resume" and of_run):
                continue
            if not (place / name).is_file() or digest(place / name) != content:
                found.append(f"{name} was changed")
        results = [*files(place / "out"), *files(place / "runs"), place / "lists" / "gt_depths.npz"]
        for path in results:
            name = path.relative_to(place)
            if name != changed and UNFINISHED not in str(name) and path.is_file() and (fault := half(path)):
                found.append(f"{name} is {fault}")
        return found


def files(folder: Path) -> list[Path]:
    """All regular files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def digest(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ending(code: int | None, said: str) -> str:
    """How a command ended, for the sum."""
    if "Traceback" in said:
        return "tracebacks"
    names = {None: "hangs", 0: "did their work", 2: "refused"}
    return names.get(code, f"ended with {code}")


def answers(code: int | None, said: str, works: bool) -> Iterator[str]:
    """What is wrong with an exit code and a message."""
    lines = said.splitlines()
    if code is None:
        yield f"no end within {LIMIT:g} s"
    elif "Traceback" in said:
        yield "a traceback"
    elif code not in (0, 2):
        yield f"ends with {code}"
    elif code == 2 and (not lines or not lines[-1].startswith("error: ")):
        yield "ends with 2 and no message"
    elif works and code == 2:
        yield "does not do its work"
    if any(len(line) > LONGEST_LINE or not line.isprintable() for line in lines):
        yield "a line that no terminal should get"


def half(path: Path) -> str:
    """What is wrong with a result; nothing of a whole one."""
    try:
        if path.suffix in (".npy", ".npz"):
            content = np.load(path)
            arrays = [content] if path.suffix == ".npy" else [content[name] for name in content.files]
            return "" if all(finite(array) for array in arrays) else "not finite"
        if path.suffix in (*EXTENSIONS.values(), ".safetensors", ".h5"):
            return "" if all(map(finite, read_weights_file(path).values())) else "not finite"
        if path.suffix in (".png", ".jpeg", ".jpg"):
            with Image.open(path) as image:
                image.load()
        if path.suffix == ".json":
            text = path.read_text()
            return "" if "NaN" not in text and json.loads(text) is not None else "not finite"
    except Exception as error:  # whatever a library says of half a file
        return f"half-written ({error})"
    return ""


def finite(array: np.ndarray) -> bool:
    """Whether all numbers of an array are."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


# ---- how a file is changed -------------------------------------------------------------------------------------


def _place(rng: random.Random, content: bytes) -> int:
    """Mostly in the head of a file, where what it says of itself stands."""
    return rng.randrange(max(1, min(len(content), 512) if rng.random() < 0.6 else len(content)))


def _flip(rng: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3, 20])):
        if content:
            content[_place(rng, content)] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _cut(rng: random.Random, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: _place(rng, content)])


def _insert(rng: random.Random, path: Path) -> None:
    content = path.read_bytes()
    place, word = _place(rng, content), rng.choice(WORDS)
    path.write_bytes(content[:place] + word + content[place + rng.choice([0, len(word)]) :])


def _digits(rng: random.Random, path: Path) -> None:
    """A number in a text, or in the head of a file, is another."""
    content = path.read_bytes()
    places = [place for place in range(min(len(content), 4096)) if content[place : place + 1].isdigit()]
    if places:
        place = rng.choice(places)
        path.write_bytes(content[:place] + rng.choice(WORDS) + content[place + 1 :])


def _repeat(rng: random.Random, path: Path) -> None:
    content = path.read_bytes()
    place = _place(rng, content)
    path.write_bytes(content[:place] + content[place : place + rng.randrange(200)] * 50 + content[place:])


def _other(rng: random.Random, path: Path) -> None:
    """The content of a file of another kind."""
    there = sorted(other for other in path.parent.iterdir() if other.is_file() and other != path)
    path.write_bytes(rng.choice(there).read_bytes() if there else b"")


def _payload(rng: random.Random, path: Path) -> None:
    """A hostile pickle, bare or in a zip."""
    payload = b"\x80\x02" + rng.choice(list(PAYLOADS.values())) + b"."
    path.unlink()
    if rng.random() < 0.5:
        write_zip(path, payload, {})
    else:
        path.write_bytes(payload)


def _pipe(rng: random.Random, path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o666)


def _folder(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(rng.choice(["/dev/zero", path.name, "nowhere", "/"]))


EDITS: dict[str, Callable[[random.Random, Path], None]] = {
    "with bits flipped": _flip,
    "with bits flipped, again": _flip,
    "cut": _cut,
    "with something in it": _insert,
    "with another number": _digits,
    "with a part repeated": _repeat,
    "of another kind": _other,
    "as a hostile pickle": _payload,
    "as a pipe": _pipe,
    "as a folder": _folder,
    "as a link": _link,
}


def main() -> int:
    """Attacks until the time is over, and prints the sums."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", choices=[*EXTENSIONS, "both"], default="both")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    backends = list(EXTENSIONS) if options.backend == "both" else [options.backend]
    faults, begin = 0, time.monotonic()
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"  # of what was killed
    with tempfile.TemporaryDirectory() as name:
        drive = make_drive(Path(name) / "drive")
        for number, backend in enumerate(backends, 1):
            end = begin + options.seconds * number / len(backends)
            faults += attack(backend, drive, Path(name) / backend, end, options.seed)
    return min(faults, 1)


def attack(backend: str, drive: Path, folder: Path, end: float, seed: int) -> int:
    """Attacks one backend until a moment of `time.monotonic`; the number of faults."""
    begin, rng = time.monotonic(), random.Random(seed)
    attacker = Attacker(backend, drive, folder, rng)
    for command in attacker.commands:
        attacker.nothing(command)
    kinds, chances = [attacker.edit, attacker.kill, attacker.full, attacker.forbid], [12, 1, 2, 2]
    while time.monotonic() < end:
        rng.choices(kinds, chances)[0](rng.choice(attacker.commands))
    attacker.worker.stop()
    for kind, endings in attacker.attacks.items():
        how = ", ".join(f"{number} {name}" for name, number in sorted(endings.items()))
        print(f"{backend}: {endings.total()} {kind}: {how}", flush=True)
    total = sum(endings.total() for endings in attacker.attacks.values())
    print(
        f"{backend}: {total} commands, {len(attacker.faults)} faults; {time.monotonic() - begin:.0f} s",
        flush=True,
    )
    return len(attacker.faults)


if __name__ == "__main__":
    sys.exit(main())
