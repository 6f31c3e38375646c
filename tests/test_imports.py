"""Who imports what, each in a fresh process: `core` neither framework, a backend only its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backends import BACKENDS, installed_backends

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import importlib, sys

asked = set()

class Blocked:
    def find_spec(self, name, path=None, target=None):
        asked.add(name.partition(".")[0])
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked here")

sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
    importlib.import_module(name)
print("asked for:", *sorted({{"torch", "paddle"}} & (asked | set(sys.modules))))
"""


def modules_of(folder: str) -> list[str]:
    """Dotted names of all modules in a folder."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
    return [".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts]


def imported(modules: list[str], blocked: set[str]) -> list[str]:
    """The frameworks asked for when importing the modules with some packages blocked, whether they are there or not."""
    script = SCRIPT.format(modules=modules, blocked=blocked)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("asked for:")[2].split()


def test_core_needs_no_framework():
    modules = modules_of("core")
    assert len(modules) > 20
    assert imported(modules, {"torch", "paddle", *OF_UNIX}) == []


OF_UNIX = ("fcntl", "resource", "termios", "pty")
OF_UNIX_IN_OS = ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "killpg", "mkfifo", "fork", "uname")
OF_UNIX_IN_OS += ("getuid", "geteuid", "getgid", "sched_getaffinity", "statvfs", "setsid", "chown", "WNOHANG")


def test_nothing_of_unix_alone_stops_a_start_elsewhere():
    """What users run asks before it takes such a thing: `getattr(os, "O_NONBLOCK", 0)`, `hasattr`, `try: import`."""
    unasked = []
    for path in (*ROOT.glob("*.py"), *(ROOT / "core").rglob("*.py"), *(ROOT / "backends").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\b(?:os|signal)\.(\w+)", text):
            known = name in OF_UNIX_IN_OS or name in ("SIGKILL", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGUSR1")
            if known and f'"{name}"' not in text:
                unasked.append(f"{path.relative_to(ROOT)}: {name}")
        unasked += [
            f"{path.relative_to(ROOT)}: {name}"
            for name in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)
            if name in OF_UNIX
        ]
    assert unasked == []


def test_choosing_a_backend_imports_none():
    assert imported(["backends"], set()) == []


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_a_backend_imports_its_framework_alone(backend):
    if backend not in installed_backends():
        pytest.skip(f"{backend} is not installed")
    modules = modules_of(f"backends/{backend}")
    assert f"backends.{backend}.methods.monodepth2" in modules
    assert imported(modules, set(BACKENDS) - {backend}) == [backend]


def test_a_blocked_framework_would_be_seen():
    with pytest.raises(AssertionError, match="is blocked here"):
        imported([f"backends.{installed_backends()[0]}.tensors"], set(BACKENDS))
