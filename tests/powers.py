"""Root's powers over files, put down for a while: permissions are tested by whoever runs the tests."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

VERSION = (
    0x20080522  # of three masks, effective, permitted and inheritable, in two words each (capabilities(7))
)
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


def _masks() -> "ctypes.Array[ctypes.c_uint32]":
    masks = (ctypes.c_uint32 * 6)()
    _call("capget", masks)
    return masks


def _call(name: str, masks: "ctypes.Array[ctypes.c_uint32]") -> None:
    version_and_thread = (ctypes.c_uint32 * 2)(VERSION, 0)
    if getattr(ctypes.CDLL(None), name)(version_and_thread, masks) != 0:
        raise OSError(f"{name} fails")


@contextlib.contextmanager
def powerless() -> Iterator[None]:
    """This thread is an owner of files like any other meanwhile, who may not read what he forbade himself."""
    if os.geteuid() != 0:
        yield
        return
    before = _masks()
    masks = _masks()
    masks[0] &= ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
    _call("capset", masks)
    try:
        yield
    finally:
        _call("capset", before)


@contextlib.contextmanager
def forbidden(path: "os.PathLike[str]", mode: int = 0) -> Iterator[None]:
    """A file or folder has this mode meanwhile, and nobody is above it."""
    before = os.stat(path).st_mode
    os.chmod(path, mode)
    try:
        with powerless():
            yield
    finally:
        os.chmod(path, before)


def give_up_power() -> None:
    """The same for good, and of the whole process, so long as it has one thread."""
    if os.geteuid() == 0:
        _call("capset", (ctypes.c_uint32 * 6)())
