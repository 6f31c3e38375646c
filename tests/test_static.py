"""What executes files or text stays out of the project; pickles are opened in one place."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Calls by their full name; a bare name is the builtin.
FORBIDDEN = {
    *(
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "pickle._Unpickler",
        "_pickle.load",
        "_pickle.loads",
    ),
    *(
        "cPickle.load",
        "dill.load",
        "dill.loads",
        "joblib.load",
        "marshal.load",
        "marshal.loads",
        "shelve.open",
    ),
    *("paddle.load", "torch.hub.load", "torch.jit.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("eval", "exec", "os.system", "os.popen", "builtins.eval", "builtins.exec", "runpy.run_path"),
}
# The one audited reader; what starts our scripts for tests, which write or name them; a test that hides the function in
# a file.
AUDITED = {
    "tests/backends/starts.py": {"runpy.run_path"},
    "core/weights/pickles.py": {"pickle._Unpickler"},
    "tests/core/weights/test_weights_pdparams.py": {"eval"},
}


def sources() -> list[Path]:
    """The Python files of the project."""
    folders = [ROOT / name for name in ("core", "backends", "benchmarks", "tests", "configs")]
    return sorted([*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))])


def dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """`np.load` → "numpy.load", by the imports of the file; "" for what has no name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, aliases)}.{node.attr}"
    return ""


def imports(nodes: list[ast.AST]) -> dict[str, str]:
    """What each imported name stands for."""
    aliases = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return aliases


WORD = re.compile(r"\.?\b\w+\b")


def may_hold(text: str) -> bool:
    """Whether a source has the words that a finding is made of, wherever they stand; most have not."""
    words = set(WORD.findall(text))
    names = {word.removeprefix(".") for word in words}
    if names & {"allow_pickle", "shell"} or {"torch", "load"} <= names:
        return True
    return any(set(name.split(".")) <= (names if "." in name else words) for name in FORBIDDEN)


def findings(text: str) -> set[str]:
    """Forbidden names that a source uses, called or not, and calls with forbidden arguments."""
    if not may_hold(text):
        return set()
    nodes = list(ast.walk(ast.parse(text)))
    aliases, found = imports(nodes), set()
    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute) and dotted(node, aliases) in FORBIDDEN:
            found.add(dotted(node, aliases))
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: word.value for word in node.keywords}
        for word in ("allow_pickle", "shell"):
            if word in given and not is_constant(given[word], False):
                found.add(word)
        if dotted(node.func, aliases) == "torch.load" and not is_constant(given.get("weights_only"), True):
            found.add("torch.load")
    return found


def is_constant(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_files(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert findings(path.read_text(encoding="utf-8")) == AUDITED.get(name, set())


def test_shell_scripts_do_not_either() -> None:
    scripts = [*ROOT.glob("*.sh"), *(ROOT / "configs").rglob("*.sh"), *(ROOT / "tests").glob("*.sh")]
    assert scripts
    for script in scripts:
        lines = script.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.strip().startswith("eval ") or "pickle.load" in line], (
            script
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import pickle\npickle.load(file)", {"pickle.load"}),
        ("import pickle as p\nread = p.loads", {"pickle.loads"}),
        ("from pickle import loads as read\nread(b'')", {"pickle.loads"}),
        ("import torch\ntorch.load(path)", {"torch.load"}),
        ("import torch\ntorch.load(path, weights_only=False)", {"torch.load"}),
        ("import torch\ntorch.load(path, weights_only=True)", set()),
        ("import paddle\npaddle.load(path)", {"paddle.load"}),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", {"allow_pickle"}),
        ("import numpy as np\nnp.load(path, allow_pickle=False)", set()),
        ("import numpy as np\nnp.load(path, allow_pickle=flag)", {"allow_pickle"}),
        ("import yaml\nyaml.load(text, Loader)", {"yaml.load"}),
        ("import yaml\nyaml.safe_load(text)", set()),
        ("eval(text)", {"eval"}),
        ("network.eval()", set()),
        ("exec(text)", {"exec"}),
        ("import os\nos.system(text)", {"os.system"}),
        ("import subprocess\nsubprocess.run(text, shell=True)", {"shell"}),
    ],
)
def test_they_would_be_seen(text: str, expected: set[str]) -> None:
    assert findings(text) == expected
