"""What a file is that holds no weights, and the cure: told by its first bytes, or by its name."""

import re
from collections.abc import Iterable
from pathlib import Path

HEAD_BYTES = 1024
TAR_PLACE, TAR_MAGIC = 257, b"ustar"
ANOTHER = "name the file of weights itself"
UNPACK = "unpack it{} and name the folder, or the file in it"
AGAIN = "get it again, whole"

# Beginning, what it is, cure.
STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "is the pointer of a large-file store (Git LFS), not the file that it stands for",
        "fetch that: git lfs pull",
    ),
    (b"bplist00", "is a property list of macOS, such as a link or settings", ANOTHER),
    (b"Rar!", "is a RAR archive", UNPACK.format("")),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", UNPACK.format("")),
    (b"\xfd7zXZ\0", "is packed by xz", UNPACK.format("")),
    (b"BZh", "is packed by bzip2", UNPACK.format("")),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd", UNPACK.format("")),
    (
        b"\x93NUMPY",
        "is a single NumPy array, without names",
        "save the arrays by name, as .npz or .safetensors",
    ),
    (b"\x89PNG", "is an image", ANOTHER),
    (b"\xff\xd8\xff", "is an image", ANOTHER),
    (b"%PDF", "is a PDF document", ANOTHER),
    (b"GGUF", "is a GGUF model, of language models", ANOTHER),
    (b"\x7fELF", "is a program", ANOTHER),
)
EXPORTED = "name the weights that it was exported from, such as encoder.pth or encoder.pdparams"
ONNX = "is an ONNX export, a network to be run elsewhere"
TENSORRT = "is a network of TensorRT, for one kind of GPU"
PADDLE = "is a network exported by PaddlePaddle for inference"
BY_SUFFIX = {
    ".onnx": ONNX,
    ".pdiparams": PADDLE,
    ".pdmodel": PADDLE,
    ".engine": TENSORRT,
    ".trt": TENSORRT,
    ".tflite": "is a network of TensorFlow Lite",
    ".pb": "is a network exported by TensorFlow",
    ".mlmodel": "is a network exported by Core ML",
}
INFERENCE_START = re.compile(
    rb"\0{16}[\x02-\xff]\0\0\0\x08", re.DOTALL
)  # version, levels, version, size, type
ONNX_START = re.compile(rb"\x08[\x03-\x20]\x12[\x01-\x40]")  # version of its format, who made it
PROGRAM_START = re.compile(rb"\x0a.{1,5}\x08\0\x10\xff", re.DOTALL)  # the first block, which has no parent
TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+")
WEIGHTS_IN_ARCHIVES = (".pth", ".pt", ".tar", ".ckpt", ".pdparams", ".safetensors", ".h5", ".npz", ".gz")


def what_it_is(path: Path, head: bytes, size: int) -> tuple[str, str] | None:
    """What a file is, and the cure; None for what is not known.

    Args:
        head: its first `HEAD_BYTES`, or all of it.
        size: bytes.
    """
    if size == 0:
        return "is empty (zero bytes)", AGAIN
    for start, what, cure in STARTS:
        if head.startswith(start):
            return what, cure
    if head[TAR_PLACE:].startswith(TAR_MAGIC):
        return "is a tar archive", UNPACK.format(f" (tar -xf {path.name})")
    if ONNX_START.match(head):
        return ONNX, EXPORTED
    if INFERENCE_START.match(head) or PROGRAM_START.match(head):
        return PADDLE, EXPORTED
    if head[4:8] == b"TFL3":
        return BY_SUFFIX[".tflite"], EXPORTED
    text = _text(head)
    if text is not None:
        return text
    if path.suffix.lower() in BY_SUFFIX:
        return BY_SUFFIX[path.suffix.lower()], EXPORTED
    if not head.strip(b"\0"):
        return "begins with nothing but zero bytes: its copy or download did not end", AGAIN
    return None


def _text(head: bytes) -> tuple[str, str] | None:
    plain = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = plain[:512].lower()
    if lower.startswith((b"<!doctype html", b"<html", b"<head")) or b"<html" in lower:
        return (
            "is a web page (HTML): the download asked for a login or a confirmation, or failed",
            "open its address in a browser and download the file itself",
        )
    if b"<!doctype plist" in lower or b"<plist" in lower:
        return "is a property list of macOS, such as a link or settings", ANOTHER
    if plain.startswith(b"<?xml") or plain.startswith(b"<error"):
        return "is XML, such as the answer of a server that has no such file", AGAIN
    if plain and TEXT.fullmatch(head):
        return f"is {'JSON' if plain[:1] in b'{[' else 'text'}", ANOTHER
    return None


def what_an_archive_is(path: Path, names: Iterable[str]) -> tuple[str, str] | None:
    """What a zip file is that has members of these names; None for one that may be PyTorch's."""
    names = list(names)
    lasts = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in lasts and any("/code/" in name for name in names):
        return "is a program of TorchScript", "save the state_dict of its network"
    if "data.pkl" in lasts:
        return None
    inside = sorted(name for name in names if name.endswith(WEIGHTS_IN_ARCHIVES))
    if inside:
        shown = ", ".join(name[:60] for name in inside[:2])
        return f"is a zip archive that holds {shown}", UNPACK.format(f" (unzip {path.name})")
    return "is a zip archive without weights", ANOTHER
