"""Readers of weight files, `{name: ndarray}`: they execute nothing and import no framework."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError
from core.weights.files import MAX_CHECKPOINT_BYTES, is_packed, open_file, printable, unreadable
from core.weights.strange import HEAD_BYTES, what_an_archive_is, what_it_is

if TYPE_CHECKING:
    import numpy as np

# Of the magic number that starts old `.pth` files, in the pickle's spelling.
LEGACY_PTH = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
LEGACY_BYTES = 32
MAX_NAMED_BYTES = 1 << 34  # of archives that are only looked at; their readers allow less


def read_weights_file(path: Path) -> "dict[str, np.ndarray]":
    """Reads a file of weights of any known format, told by its content, whatever its name.

    Returns:
        `{name: array}` as the file has them: names and layouts of the framework that wrote it.

    Raises:
        UserError: absent, of no known format, damaged, or holding anything but arrays.
    """
    path = Path(path)
    # The readers are imported where they are needed: not every user of one has the libraries of the others.
    match format_of(path):
        case "pth":
            from core.weights.pth import read_pth

            found = read_pth(path)
            if not is_packed(path):
                return found
            from core.weights.tarballs import tarball_arrays

            return found | tarball_arrays(path)
        case "pdparams":
            from core.weights.pdparams import read_pdparams

            return read_pdparams(path)
        case "h5":
            from core.weights.h5 import read_h5

            return read_h5(path)
        case "safetensors":
            from core.weights.safetensors_file import read_safetensors

            return read_safetensors(path)
        case _:
            from core.weights.npz import read_npz

            return read_npz(path)


def format_of(path: Path) -> str:
    """`pth`, `pdparams`, `h5`, `safetensors` or `npz`, by the content of a file.

    Raises:
        UserError: absent, or of no known format.
    """
    file, size = open_file(path, MAX_CHECKPOINT_BYTES)  # its reader may allow less
    with file:
        head = file.read(HEAD_BYTES)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if head.startswith(b"PK\x03\x04"):
        return _format_of_zip(path)
    if head.startswith(b"\x80"):
        return "pth" if LEGACY_PTH in head[:LEGACY_BYTES] else "pdparams"
    if found := what_it_is(path, head, size):
        raise _no_weights(path, *found)
    raise unreadable(path, "file of weights", "it is neither .pth, .pdparams, .h5, .safetensors nor .npz")


def _format_of_zip(path: Path) -> str:
    from core.weights.archives import open_archive

    try:
        with open_archive(path, MAX_NAMED_BYTES) as (archive, _):
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise unreadable(path, "file of weights", error) from None
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if found := what_an_archive_is(path, names):
        raise _no_weights(path, *found)
    return "pth"


def _no_weights(path: Path, what: str, cure: str) -> UserError:
    return UserError(f"{path}: no file of weights: it {printable(what)}; {printable(cure)}")
