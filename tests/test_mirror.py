"""The two backends have the same files with the same public names, parameters and defaults."""

import ast
from pathlib import Path

import pytest

from tests.syntax import tree_of

BACKENDS = Path(__file__).resolve().parent.parent / "backends"

# Deliberate differences: the name that one side has alone, and why. A class stands for its methods too.
GAPS = {
    "checkpoint.native_names": "PyTorch's own names and layouts are the official ones",
    "networks.layers.reflect_pad": "PaddlePaddle's kernel is slow on a CPU",
    "tensors.use_channels_last": "PaddlePaddle's convolutions on a CPU have one layout",
    "networks.layers.upsample": "PaddlePaddle's kernel is slow on a CPU",
}


def files(backend: str) -> dict[str, Path]:
    """Modules of a backend: "networks.resnet" → its file."""
    root = BACKENDS / backend
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}


def parameters(function: ast.FunctionDef) -> str:
    """Parameter names and defaults, without annotations, in words common to both."""
    arguments = ast.parse(ast.unparse(function)).body[0].args
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(arguments).replace("torch.", "framework.").replace("paddle.", "framework.")


def is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__call__")


def names(tree: ast.Module | ast.ClassDef, prefix: str) -> dict[str, str]:
    """Public classes, functions, methods, fields and constants by dotted name, with their parameters."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and is_public(node.name):
            found[f"{prefix}.{node.name}"] = parameters(node)
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            found[f"{prefix}.{node.name}"] = "class"
            found |= names(node, f"{prefix}.{node.name}")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                f"{prefix}.{t.id}": "value" for t in targets if isinstance(t, ast.Name) and is_public(t.id)
            }
    return found


def backend_names(backend: str) -> dict[str, str]:
    found = {}
    for module, path in files(backend).items():
        found |= names(tree_of(path), module)
    return found


def gap_of(name: str) -> str | None:
    """The entry of `GAPS` that excuses a name."""
    return next((gap for gap in GAPS if name == gap or name.startswith(f"{gap}.")), None)


@pytest.fixture(scope="module")
def sides() -> tuple[dict[str, str], dict[str, str]]:
    return backend_names("torch"), backend_names("paddle")


def test_same_files():
    assert set(files("torch")) == set(files("paddle"))


def test_same_names(sides):
    torch, paddle = sides
    assert len(set(torch) & set(paddle)) > 50
    alone = sorted(set(torch) ^ set(paddle))
    assert [name for name in alone if gap_of(name) is None] == []


def test_same_parameters_and_defaults(sides):
    torch, paddle = sides
    different = {
        name: (torch[name], paddle[name]) for name in torch if torch[name] != paddle.get(name, torch[name])
    }
    assert different == {}


def test_every_gap_is_one(sides):
    torch, paddle = sides
    assert [gap for gap in GAPS if gap not in set(torch) ^ set(paddle)] == []


def test_a_difference_would_be_seen():
    one = names(ast.parse("def warp(x, scale: int = 2): ..."), "m")
    assert one != names(ast.parse("def warp(x, scale: int = 3): ..."), "m")
    assert one != names(ast.parse("def warp(y, scale: int = 2): ..."), "m")
    assert one == names(ast.parse("def warp(x: float, scale=2): return 1"), "m")
