"""What becomes of classes and functions that a pickle names and the readers of weights do not know.

Trainings keep options, times, paths and more beside their tensors. Each becomes an object that keeps nothing. What no
training keeps, but whoever means harm asks for, is an error, although here it could do none; and so is what makes
tensors of a kind that no network computes with, for they must not become nothing without a word.
"""

import pickle

from core.weights.stand_ins import Unknown

STATE = "save only the state_dict of the network"
# Modules that lead to the system, to other files or to programs.
_HARMFUL = """
    _codecs _ctypes _operator _pickle _socket antigravity asyncio bdb builtins cPickle cProfile
    cloudpickle code codecs codeop commands copyreg ctypes dill distutils ftplib functools gc http imp
    importlib inspect io marshal multiprocessing nt ntpath operator os pdb pickle pip platform popen2
    posix posixpath profile pty requests runpy shutil signal site smtplib socket subprocess sys tempfile
    threading timeit types urllib webbrowser yaml
"""
HARMFUL = frozenset(_HARMFUL.split())
OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # in pickles that Python 2 can read
# What of such modules lies beside weights all the same.
_PLAIN = """
    builtins.bool builtins.bytearray builtins.complex builtins.dict builtins.float builtins.frozenset
    builtins.int builtins.list builtins.object builtins.range builtins.set builtins.slice builtins.str
    builtins.tuple copyreg._reconstructor functools.partial types.SimpleNamespace
"""
PLAIN = frozenset(_PLAIN.split())
# Of the libraries that make tensors: what does so, or reads files.
TENSORS = (
    "numpy",
    "torch._utils",
    "torch._tensor",
    "torch.storage",
    "torch.serialization",
    "torch.hub",
    "torch.utils",
)
LOADS = ("torch.load", "paddle.load")
BESIDE = ("numpy.random", "numpy.float64", "numpy.float32", "numpy.int64", "numpy.bool_")
OTHER_TENSORS = {
    "_rebuild_qtensor": "quantised ones",
    "_rebuild_tensor_v3": "of whole numbers or of 8 bits",
}


class ContentError(pickle.UnpicklingError):
    """A file is whole, but holds something else than tensors that a network computes with.

    Attributes:
        cure: for the message.
    """

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


def inert(module: str, name: str) -> Unknown:
    """The stand-in of a class or a function; nothing is imported.

    Raises:
        pickle.UnpicklingError: weights have no need of it.
    """
    module = OLD_NAMES.get(module, module)
    kind = f"{module}.{name}"
    if module == "torch._utils" and name in OTHER_TENSORS:
        message = f"its tensors are {OTHER_TENSORS[name]}, with which no network here computes"
        raise ContentError(message, "dequantise them first, and save float32")
    harmful = module.partition(".")[0] in HARMFUL and kind not in PLAIN
    tensors = _below(kind, TENSORS) and not _below(kind, BESIDE)
    if harmful or tensors or _below(kind, LOADS):
        raise ContentError(f"it asks for {kind}, which weights do not need", STATE)
    return Unknown(kind)


def _below(kind: str, places: tuple[str, ...]) -> bool:
    return any(kind == place or kind.startswith(f"{place}.") for place in places)
