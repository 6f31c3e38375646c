"""What a hostile pickle can try, as instructions that leave one value on the stack (protocol 2 and a few of 4).

Whatever is executed would make the folder named by `MARKER` in the current folder, or be seen by an audit hook.
"""

import hashlib
import pickle
import struct
import time
from typing import Any

from tests.core.weight_files import Raw, call, code, name

MARKER = "executed"
PYTHON = f"__import__('os').mkdir({MARKER!r})"
SHELL = f"mkdir {MARKER}"
HASHINGS = 20  # of `hashing`: what refusing a file may take
INNER = b"\x80\x02" + call(name("os", "mkdir"), MARKER).content + b"."  # a pickle in a pickle

# Functions that do harm, or lead to some, with arguments that would.
CALLS: list[tuple[str, str, tuple[Any, ...]]] = [
    ("os", "system", (SHELL,)),
    ("posix", "system", (SHELL,)),
    ("nt", "system", (SHELL,)),
    ("os", "mkdir", (MARKER,)),
    ("os", "popen", (SHELL,)),
    ("os", "execv", ("/bin/mkdir", ["mkdir", MARKER])),
    ("os", "remove", ("victim",)),
    ("subprocess", "Popen", (["mkdir", MARKER],)),
    ("subprocess", "check_output", (["mkdir", MARKER],)),
    ("shutil", "rmtree", ("victim",)),
    ("builtins", "eval", (PYTHON,)),
    ("__builtin__", "eval", (PYTHON,)),
    ("builtins", "exec", (PYTHON,)),
    ("builtins", "compile", (PYTHON, "x", "exec")),
    ("builtins", "open", (MARKER, "w")),
    ("builtins", "__import__", ("antigravity",)),
    ("builtins", "getattr", ("text", "join")),
    ("builtins", "setattr", ("text", "join", 1)),
    ("builtins", "globals", ()),
    ("builtins", "breakpoint", ()),
    ("builtins", "type", ("T", (), {})),
    ("builtins", "object", ()),
    ("builtins", "map", ("f", [1])),
    ("io", "open", (MARKER, "w")),
    ("codecs", "open", (MARKER, "w")),
    ("_codecs", "lookup", ("rot13",)),
    ("_codecs", "encode", ("text", "rot13")),
    ("importlib", "import_module", ("antigravity",)),
    ("runpy", "run_path", ("victim",)),
    ("pty", "spawn", (["mkdir", MARKER],)),
    ("timeit", "timeit", (PYTHON,)),
    ("cProfile", "run", (PYTHON,)),
    ("pdb", "run", (PYTHON,)),
    ("code", "InteractiveInterpreter", ()),
    ("socket", "create_connection", (("127.0.0.1", 9),)),
    ("urllib.request", "urlopen", ("http://127.0.0.1:9/",)),
    ("webbrowser", "open", ("http://127.0.0.1:9/",)),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("pickle", "loads", (INNER.decode("latin1"),)),
    ("_pickle", "loads", (INNER.decode("latin1"),)),
    ("marshal", "loads", ("x",)),
    ("types", "FunctionType", (1, {})),
    ("operator", "attrgetter", ("__class__",)),
    ("operator", "methodcaller", ("tofile", MARKER)),
    ("functools", "partial", (1,)),
    ("functools", "reduce", (1, [2])),
    ("collections", "namedtuple", ("T", "x")),
    ("copyreg", "_reconstructor", (1, 2, 3)),
    ("copyreg", "add_extension", ("os", "system", 1)),
    ("tempfile", "mkdtemp", ()),
    ("yaml", "unsafe_load", (f"!!python/object/apply:os.mkdir [{MARKER}]",)),
    ("numpy", "load", ("victim",)),
    ("numpy", "save", (MARKER, [1])),
    ("numpy", "fromfile", ("victim",)),
    ("numpy.testing._private.utils", "runstring", (PYTHON, {})),
    ("numpy.lib.npyio", "loadtxt", ("victim",)),
    ("torch", "load", ("victim",)),
    ("torch.hub", "load", ("a/b", "c")),
    ("torch.serialization", "load", ("victim",)),
    ("torch._utils", "_rebuild_device_tensor_from_numpy", (1, 2, 3, 4)),
    ("torch.utils._config_module", "load_config", (INNER.decode("latin1"),)),
    ("torch.storage", "_load_from_bytes", (INNER.decode("latin1"),)),
    ("paddle", "load", ("victim",)),
]

# Ways through modules that are allowed, by names with dots.
CHAINS = [
    ("collections", "_sys.modules"),
    ("collections", "OrderedDict.fromkeys"),
    ("collections", "OrderedDict.__init__.__globals__"),
    ("numpy", "ndarray.tofile"),
    ("numpy", "dtype.__reduce__"),
    ("numpy", "f2py.os.system"),
    ("numpy._core.multiarray", "_reconstruct.__globals__"),
    ("numpy.core.multiarray", "scalar.__class__"),
    ("builtins", "tuple.__subclasses__"),
    ("torch", "FloatStorage.from_file"),
    ("torch", "os.system"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch._utils", "torch.load"),
    ("torch.nn.parameter", "Parameter.__new__"),
]

SYSTEM, TEXT = name("os", "system").content, code(SHELL)


def stacked(module: str, attribute: str) -> bytes:
    """A global by STACK_GLOBAL."""
    return code(module) + code(attribute) + b"\x93"


def laughs(doubling: bytes, depth: int) -> bytes:
    """Each level holds the one below twice, by the memo."""
    return b")" + b"".join(b"q" + bytes([level]) + b"h" + bytes([level]) + doubling for level in range(depth))


# Other instructions for the same end, and tricks with memo, stack and states.
TRICKS: dict[str, bytes] = {
    "stack global": stacked("os", "system") + b"(" + TEXT + b"tR",
    "stack global of joined names": stacked("os.path", "os.system") + b"(" + TEXT + b"tR",
    "stack global of memoised names": b"".join(
        [code("system"), b"q\x05", b"0", code("os"), b"q\x06", b"0", b"h\x06h\x05\x93(", TEXT, b"tR"]
    ),
    "stack global of no text": b"K\x01K\x02\x93",
    "inst": b"(" + TEXT + b"ios\nsystem\n",
    "obj": b"(" + SYSTEM + TEXT + b"o",
    "newobj": SYSTEM + b"(" + TEXT + b"t\x81",
    "newobj_ex": SYSTEM + b"(" + TEXT + b"t}\x92",
    "newobj of an allowed global": name("numpy", "ndarray").content + b")\x81",
    "extension": b"\x82\x01",
    "persistent text": b"Pos.system\n",
    "persistent": code(("module", name("os", "system"), SHELL)) + b"Q",
    "executed and thrown away": SYSTEM + b"(" + TEXT + b"tR0N",
    "memo overwritten": b"".join(
        [name("numpy", "dtype").content, b"q\x01", b"0", SYSTEM, b"q\x01", b"0h\x01(", TEXT, b"tR"]
    ),
    "memo far away": SYSTEM + b"r\xff\xff\xff\xff" + b"(" + TEXT + b"tR",
    "memo absent": b"h\x77",
    "state for a global": name("numpy", "dtype").content + code({"__call__": name("os", "system")}) + b"b",
    "state with slots": name("numpy", "ndarray").content + code((None, {"a": name("os", "system")})) + b"b",
    "class of a stand-in": name("numpy", "dtype").content + code({"__class__": name("os", "system")}) + b"b",
    "items into a global": name("numpy", "dtype").content + code("a") + SYSTEM + b"s",
    "append to a global": name("numpy", "dtype").content + SYSTEM + b"a",
    "call of text": TEXT + b")R",
    "call of a dict": b"})R",
    "dtype of an object": call(name("numpy", "dtype"), call(name("os", "system"), SHELL)).content,
    "ordered dict of calls": call(
        name("collections", "OrderedDict"), [("w", call(name("os", "system"), SHELL))]
    ).content,
    "ordered dict of an ordered dict": call(name("collections", "OrderedDict"), 7).content,
    "tuple of a call": call(name("builtins", "tuple"), call(name("os", "system"), SHELL)).content,
    "tuple of a dict": call(name("builtins", "tuple"), {}).content,
    "protocol 0": f"cos\nsystem\n(S'{SHELL}'\ntR".encode(),
    "a second protocol": b"\x80\x04" + stacked("os", "system") + b"(" + TEXT + b"tR",
    "unknown protocol": b"\x80\x63",
    "frames": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
    "unknown instruction": b"\xff",
    "stack underflow": b"RRRR",
    "mark underflow": b"ttt",
}


def again(start: bytes, function: Raw, arguments: bytes) -> bytes:
    """Something long, made once, and a list of two thousand calls that get it."""
    return start + b"q\x000](" + 2000 * (function.content + arguments + b"R") + b"e"


LONG = b"N" * 200_000

# Small files that would take forever, or all memory.
BOMBS: dict[str, bytes] = {
    "hash of tuples": b"}" + laughs(b"\x86", 60) + b"K\x01s",
    "hash of tuples in items": b"}(" + laughs(b"\x86", 60) + b"K\x01u",
    "hash of tuples in a dict": b"(" + laughs(b"\x86", 60) + b"K\x01d",
    "hash of tuples in an ordered dict": call(
        name("collections", "OrderedDict"), [(Raw(laughs(b"\x86", 60)), 1)]
    ).content,
    "tuples of the same list": again(b"](" + LONG + b"e", name("builtins", "tuple"), b"h\x00\x85"),
    "ordered dicts of the same list": again(
        b"](" + b"".join(code(row) + b"N\x86" for row in range(50_000)) + b"e",
        name("collections", "OrderedDict"),
        b"h\x00\x85",
    ),
    "calls with the same long tuple": again(
        b"(" + LONG + b"t", name("numpy._core.multiarray", "_reconstruct"), b"h\x00"
    ),
    "calls with the same long list": again(
        b"](" + LONG + b"e", name("numpy._core.multiarray", "_reconstruct"), b"h\x00"
    ),
    "set of tuples": b"\x8f(" + laughs(b"\x86", 60) + b"\x90",
    "tuples as element type": call(name("numpy", "dtype"), Raw(laughs(b"\x86", 60))).content,
    "colliding names": b"}(" + b"".join(code(row * (2**61 - 1)) + b"N" for row in range(1, 30_000)) + b"u",
    "colliding memo": b"N" + b"".join(b"p%d\n" % (row * (2**61 - 1)) for row in range(30_000)),
    "bytes of 2^63": b"\x8e" + struct.pack("<Q", 1 << 63),
    "text of 2^40": b"\x8d" + struct.pack("<Q", 1 << 40),
    "bytearray of 2^36": b"\x96" + struct.pack("<Q", 1 << 36),
    "integer of 2^31 bytes": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "integer of a million digits": b"L" + b"9" * 10**6 + b"L\n",
    "deep lists": b"]" * 50_000 + b"a" * 49_999,
    "a list that holds itself": b"]q\x00h\x00a",
    "a dict that holds itself": b"}q\x00" + code("a") + b"h\x00s",
    "long name": f"c{'a' * 10**6}\nb\n".encode(),
    "name with newlines": stacked("os\nerror: all is well\x1b[2J", "system"),
}

PAYLOADS: dict[str, bytes] = {
    **{
        f"{module}.{attribute}": call(name(module, attribute), *found).content
        for module, attribute, found in CALLS
    },
    **{f"chain {module} {names}": stacked(module, names) + b"(" + TEXT + b"tR" for module, names in CHAINS},
    **TRICKS,
    **BOMBS,
}

# Refused after a large part of a second, by the one reader of all pickles: each in one format, in tests/slow in all.
HEAVY = (
    *("tuples of the same list", "ordered dicts of the same list", "calls with the same long tuple"),
    *("calls with the same long list", "colliding names", "deep lists"),
)
assert set(HEAVY) <= set(BOMBS)


def hashing() -> float:
    """CPU seconds that this process takes to hash 256 MiB: the unit of its other times, whatever the machine."""
    total, start = hashlib.sha256(), time.process_time()
    for _ in range(32):
        total.update(bytes(1 << 20))
    return (time.process_time() - start) * 8


def object_array(payload: bytes) -> bytes:
    """A pickle of a NumPy array of one object."""
    start = call(name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray"), (0,), "b").content
    dtype = call(name("numpy", "dtype"), "O8", False, True).content
    state = (1, (1,), Raw(dtype + code((3, "|", None, None, None, -1, -1, 63)) + b"b"), False, [Raw(payload)])
    return b"\x80\x02" + start + code(state) + b"b."


assert len(PAYLOADS) > 100 and pickle.HIGHEST_PROTOCOL >= 5
