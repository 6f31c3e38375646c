"""Attacks the commands: hostile and damaged files, kills, disks that are full, folders that are forbidden.

    .venv/bin/python -m tests.slow.attack                              both backends, 15 minutes
    .venv/bin/python -m tests.slow.attack --backend torch --seconds 60 --seed 3

Each attack is a command as a user types it, in a process of its own, on a small drive and weights of `tiny`. Whatever
happens, it ends with 0, or with 2 and one line; nothing of a file is executed, nothing half-written is left, no result
holds a value that is not finite, and the same command does its work afterwards. The last line is the sum; the exit
code is 1 if one attack found anything else, and each that did is told with what repeats it.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import run
from core.files.arrays import save_array
from core.files.whole import EXTENSIONS
from tests.backends.drive import make_drive, tiny_training
from tests.core.payloads import MARKER, PAYLOADS
from tests.core.weight_files import write_zip
from tests.scripts import ENVIRONMENT, ROOT
from tests.slow.kills import replaced
from tests.tiny.register import register

LIMIT = 120.0  # seconds of one command, which takes some tenths: longer is a hang
LONGEST_LINE = 4000  # characters of a message
# What no command here does: whoever does was told to by a file.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
IMPORTS = {"torch": ["backends.torch.trainer", "torch._dynamo"], "paddle": ["backends.paddle.trainer"]}
SCRIPTS = ("train", "predict", "evaluate_depth", "convert_weights", "export_gt_depth", "make_split")
HIDDEN = ".*-*"  # what is in the making
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


@dataclass
class Sum:
    """What was done, and what was found."""

    attacks: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command: its name, its script, its words in the folder it is run in, and the files that it reads."""

    name: str
    script: str
    words: list[str]
    reads: list[str]  # patterns below the folder
    again: tuple[str, ...] = ()  # words after a kill


def commands(backend: str) -> list[Command]:
    """What is attacked; all paths are below the current folder, results go to `out`."""
    weights, here = "weights", ["--backend", backend, "--device", "cpu"]
    predict = [*here, "--load_weights_folder", weights, "--image_path", "photos", "--output", "out"]
    evaluate = [
        *here,
        "--data_path",
        "drive",
        "--eval_split",
        "drive/splits",
        "--eval_mono",
        "--num_workers",
        "0",
    ]
    training = [*tiny_training(backend, Path("drive"), Path("out"), "run"), "--config", "settings.yml"]
    resume = [*tiny_training(backend, Path("drive"), Path("runs"), "run"), "--num_epochs", "2", "--resume"]
    images = "drive/**/image_0*/data/*"
    return [
        Command(
            "predict", "predict.py", [*predict, "--save", "npy", "depth", "png"], ["weights/*", "photos/*"]
        ),
        Command(
            "evaluate",
            "evaluate_depth.py",
            [*evaluate, "--load_weights_folder", weights, "--output", "out/metrics.json"],
            ["weights/*", "drive/splits/*", images],
        ),
        Command(
            "evaluate disparities",
            "evaluate_depth.py",
            [*evaluate, "--ext_disp_to_eval", "disparities.npy", "--output", "out/metrics.json"],
            ["disparities.npy", "drive/splits/*.npz"],
        ),
        Command(
            "train",
            "train.py",
            training,
            ["settings.yml", "drive/splits/*.txt", images, "drive/*/*.txt"],
            ("--overwrite",),
        ),
        Command("resume", "train.py", resume, ["runs/run/*.json", "runs/run/*.yaml", "runs/run/models/*/*"]),
        Command(
            "convert",
            "convert_weights.py",
            [weights, "--to", "safetensors", "--output", "out/w"],
            ["weights/*"],
        ),
        Command(
            "export truth",
            "export_gt_depth.py",
            ["--data_path", "drive", "--split", "lists"],
            ["lists/*", "drive/**/velodyne_points/data/*", "drive/*/*.txt"],
        ),
        Command(
            "make lists", "make_split.py", ["--data_path", "photos", "--output", "out/lists"], ["photos/*"]
        ),
    ]


# ---- in the process of a command -------------------------------------------------------------------------------


def act(command: Command, folder: str, said: str, largest: int, nobody: bool, watched: bool) -> None:
    """Runs a script as its last line does, in a folder.

    Args:
        said: file for stderr.
        largest: bytes that a file may have, as on a full disk; 0: any number.
        nobody: without root's right to pass over the modes of files.
        watched: whether what only a hostile file does is noted in the file `executed`.
    """
    for descriptor, file in ((1, os.devnull), (2, said)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), descriptor)
    os.chdir(folder)
    register()
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    if nobody and os.getuid() == 0:
        give_up_power()
    if watched:

        def hook(event: str, found: tuple) -> None:
            if event in FORBIDDEN and not str(found[:1]).startswith(("('uname", "('lscpu", "('nvidia")):
                os.write(2, f"EXECUTED {event} {found!r}\n".encode(errors="replace"))

        sys.addaudithook(hook)
    sys.argv = [str(ROOT / command.script), *command.words]
    try:
        run(__import__(command.script.removesuffix(".py")).main)
    finally:
        if largest:  # what is said of it goes to a file, too
            resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (resource.RLIM_INFINITY,))


def give_up_power() -> None:
    """Root becomes an owner of files like any other, who can still read the packages."""
    version_and_process = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    if ctypes.CDLL(None).capset(version_and_process, none) != 0:
        raise OSError("the capabilities of root cannot be given up")


class Attacker:
    """Makes the world that the commands see, and attacks them in copies of it."""

    def __init__(self, backend: str, drive: Path, folder: Path, rng: random.Random, result: Sum) -> None:
        self.backend, self.folder, self.rng, self.result = backend, folder, rng, result
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([*IMPORTS[backend], *SCRIPTS, "core.weights.conversion"])
        self.commands = commands(backend)
        self.world = folder / "world"
        self._make_world(drive)

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
        training = tiny_training(self.backend, world / "drive", world / "runs", "run")
        with replaced(os.environ, ENVIRONMENT):
            code, said = self.run(Command("make", "train.py", training, []), world)
        assert code == 0, said
        shutil.copytree(world / "runs" / "run" / "models" / "weights_0", world / "weights")
        record = world / "runs" / "run" / "run.json"
        assert json.loads(record.read_text())["options"]["data_path"] == str(world / "drive")

    def run(
        self,
        command: Command,
        folder: Path,
        after: float | None = None,
        largest: int = 0,
        nobody: bool = False,
        watched: bool = False,
    ) -> tuple[int | None, str]:
        """The exit code, None of a hang, and what was said; `after` so many seconds it is killed."""
        said = folder / "said"
        said.touch()
        said.chmod(0o666)
        with replaced(os.environ, ENVIRONMENT):
            arguments = (command, str(folder), str(said), largest, nobody, watched)
            process = self.context.Process(target=act, args=arguments)
            process.start()
            process.join(LIMIT if after is None else after)
            hangs = process.is_alive() and after is None
            process.kill()
            process.join()
        text = said.read_text(errors="replace")
        said.unlink()
        return (None if hangs else process.exitcode), text

    def copy(self) -> Path:
        """The world, to be changed."""
        place = self.folder / "copy"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.world, place, copy_function=os.link, ignore=lambda *_: ["runs"])
        shutil.copytree(self.world / "runs", place / "runs")  # a log is written into
        (place / "out").mkdir()
        for folder in [place, *(path for path in place.rglob("*") if path.is_dir())]:
            folder.chmod(0o777)
        return place

    def victim(self, command: Command, place: Path) -> Path:
        """A file that the command reads, no longer a link."""
        found = {path for pattern in command.reads for path in place.glob(pattern) if path.is_file()}
        path = self.rng.choice(sorted(found))
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        return path

    # ---- the attacks -----------------------------------------------------------------------------------------------

    def edit(self, command: Command) -> None:
        """One file is another."""
        place = self.copy()
        path = self.victim(command, place)
        how = self.rng.choice(list(EDITS))
        EDITS[how](self.rng, path)
        code, said = self.run(command, place, watched=True)
        self.judge(command, f"{path.relative_to(place)} {how}", place, code, said, path)

    def kill(self, command: Command) -> None:
        """Signal 9 at a moment; then the command, or its continuation, does its work."""
        place = self.copy()
        after = self.rng.uniform(0.02, 0.9)
        code, said = self.run(command, place, after=after)
        if code == -signal.SIGKILL:
            code, said = self.run(self.continued(command, place), place)
        self.judge(command, f"killed after {after:.2f} s", place, code, said, works=True)

    def full(self, command: Command) -> None:
        """No file may grow beyond a few bytes; then there is room, and the command does its work."""
        place = self.copy()
        largest = int(2 ** self.rng.uniform(8, 15))
        code, said = self.run(command, place, largest=largest)
        self.judge(command, f"files of {largest} bytes", place, code, said)
        if code == 2:
            code, said = self.run(self.continued(command, place), place)
            self.judge(command, f"after files of {largest} bytes", place, code, said, works=True)

    def forbid(self, command: Command) -> None:
        """A file or folder that it reads, or the place of its results, is not to be read, entered or written."""
        place = self.copy()
        path = self.victim(command, place)
        chosen = self.rng.choice([path, path.parent, place / "out"])
        mode = self.rng.choice([0, 0o444, 0o111, 0o555])
        chosen.chmod(mode)
        code, said = self.run(command, place, nobody=True)
        chosen.chmod(0o777)
        self.judge(command, f"{chosen.relative_to(place)} of mode {mode:o}", place, code, said, path)

    def continued(self, command: Command, place: Path) -> Command:
        """The command as it is typed after a kill."""
        words = [*command.words]
        if command.name == "train" and (place / "out" / "run" / "run.json").is_file():
            words.append("--resume")
        if command.name == "make lists" and (place / "out" / "lists").exists():
            words.append("--force")
        return Command(command.name, command.script, words, command.reads)

    # ---- the verdict -----------------------------------------------------------------------------------------------

    def judge(
        self,
        command: Command,
        attack: str,
        place: Path,
        code: int | None,
        said: str,
        changed: Path | None = None,
        works: bool = False,
    ) -> None:
        """Notes what should not have happened."""
        found = [*answers(code, said, works), *left(place, self.world, changed)]
        if (place / MARKER).exists() or "EXECUTED" in said:
            found.append("something in a file was executed")
        self.result.codes[str(code)] += 1
        for fault in found:
            line = f"{self.backend} {command.name}: {attack}: {fault}"
            print(line, *said.strip().splitlines()[-12:], sep="\n    ", flush=True)
            self.result.faults.append(line)


def answers(code: int | None, said: str, works: bool) -> Iterator[str]:
    """What is wrong with an exit code and a message."""
    lines = said.splitlines()
    if code is None:
        yield f"no end within {LIMIT:g} s"
    elif code not in (0, 2):
        yield f"ends with {code}"
    elif "Traceback" in said:
        yield "a traceback"
    elif code == 2 and (not lines or not lines[-1].startswith("error: ")):
        yield "ends with 2 and no message"
    elif works and code == 2:
        yield "does not do its work afterwards"
    if any(len(line) > LONGEST_LINE or not line.isprintable() for line in lines):
        yield "a line that no terminal should get"


def left(place: Path, world: Path, changed: Path | None) -> Iterator[str]:
    """What is wrong with the files afterwards."""
    for path in sorted(place.rglob("*")):
        if path.is_dir():
            if path.match(HIDDEN) and "-unfinished-" in path.name:
                yield f"left {path.relative_to(place)}"
            continue
        name = path.relative_to(place)
        if "-unfinished-" in name.name and name.name.startswith("."):
            yield f"left {name}"
        elif name.parts[0] == "out" and (fault := half(path)):
            yield f"{name} is {fault}"
        elif path != changed and name.parts[0] in ("photos", "weights", "disparities.npy", "settings.yml"):
            if path.suffix in (".png", ".jpg", ".webp") and not (world / name).exists():
                continue
            if not (world / name).is_file() or path.read_bytes() != (world / name).read_bytes():
                yield f"{name} was changed"


def half(path: Path) -> str:
    """What is wrong with a result; nothing of a whole one."""
    try:
        if path.suffix in (".npy", ".npz"):
            content = np.load(path)
            arrays = [content] if path.suffix == ".npy" else [content[name] for name in content.files]
            numbers = [array for array in arrays if array.dtype.kind == "f"]
            return "" if all(np.isfinite(array).all() for array in numbers) else "not finite"
        if path.suffix in (".png", ".jpeg", ".jpg"):
            Image.open(path).load()
        if path.suffix in (".json",):
            return (
                ""
                if "NaN" not in path.read_text() and json.loads(path.read_text()) is not None
                else "not finite"
            )
        if path.suffix in (".safetensors",):
            from safetensors.numpy import load_file

            load_file(path)
    except Exception as error:  # whatever a library says of half a file
        return f"half-written ({error})"
    return ""


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
    """Attacks until the time is over, and prints the sum."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", choices=[*EXTENSIONS, "both"], default="both")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    backends = list(EXTENSIONS) if options.backend == "both" else [options.backend]
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        drive = make_drive(Path(name) / "drive")
        for backend in backends:
            faults += attack(
                backend, drive, Path(name) / backend, options.seconds / len(backends), options.seed
            )
    return min(faults, 1)


def attack(backend: str, drive: Path, folder: Path, seconds: float, seed: int) -> int:
    """Attacks one backend; the number of faults."""
    end, rng, result = time.monotonic() + seconds, random.Random(seed), Sum()
    attacker = Attacker(backend, drive, folder, rng, result)
    for command in attacker.commands:
        place = attacker.copy()
        code, said = attacker.run(command, place, watched=True)
        attacker.judge(command, "nothing", place, code, said, works=True)
    result.codes.clear()
    kinds = {"edits": attacker.edit, "kills": attacker.kill, "full disks": attacker.full}
    kinds["permissions"] = attacker.forbid
    chances = [8, 2, 2, 2]
    while time.monotonic() < end:
        kind = rng.choices(list(kinds), chances)[0]
        result.attacks[kind] += 1
        kinds[kind](rng.choice(attacker.commands))
    done = ", ".join(f"{result.attacks[kind]} {kind}" for kind in kinds)
    codes = ", ".join(f"{number} ended with {code}" for code, number in sorted(result.codes.items()))
    print(f"{backend}: {done}; {codes}; {len(result.faults)} faults; {seconds:.0f} s", flush=True)
    return len(result.faults)


if __name__ == "__main__":
    sys.exit(main())
