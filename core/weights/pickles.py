"""The one place where pickles are opened. Nothing that a pickle asks for is imported, called or built.

A pickle is a program. This unpickler knows a handful of globals by name and replaces each by an inert stand-in,
so that not even NumPy runs on values that have not been checked; a family of weights may name further ones, of which
it gets inert objects and nothing else. Every other global becomes a `Thing`, which keeps nothing, for trainings save
options, times and paths beside their tensors; `core/weights/beside.py` says which are errors. Instructions
that weights do not need are errors, the number of instructions is bounded, those that copy a sequence count for
each of its items, and names of a dict are plain text or integers of 64 bits: tuples of tuples of tuples take
forever to hash.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from core.weights import families
from core.weights.archives import BoundedStream
from core.weights.beside import STATE, ContentError, inert
from core.weights.files import MAX_TENSOR_BYTES, allowance
from core.weights.stand_ins import (
    ALLOWED_GLOBALS,
    INERT,
    Array,
    Function,
    Names,
    Numbers,
    StandIn,
    Text,
    Thing,
    require_plain_names,
    shown,
)

MAX_STEPS = 1_000_000  # a thousand arrays need thirty thousand
MAX_ARGUMENTS = 16  # of a call; a tensor takes seven
# Where checkpoints of whole trainings keep the weights, the usual places first.
NESTED = ("state_dict", "model", "model_state_dict", "model_state")
KEYS_SHOWN = 8
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
LAST_LEAD = 0xC3  # the greatest byte that UTF-8 needs for Latin-1
LONG_TEXT = 64 << 10  # bytes from which on a text is none, but numbers
MAX_RECORD = 10_000  # values of the options of a training
MAX_DEPTH = 16
MAX_PARAMETERS = 10_000  # of an optimiser; a ResNet-152 and what belongs to it has seven hundred


# ---- the unpickler ---------------------------------------------------------------------------------------


# The Python implementation: the one in C fills its memo up to any index a file names, gigabytes for 5 bytes.
class Unpickler(pickle._Unpickler):
    """Reads one pickle of plain values and stand-ins.

    Args:
        stream: positioned at the pickle; it is left just behind it.
        size: bytes of the file from there on, which bound what may be made of it.
        allowed: further globals `{(module, name): stand-in}`.
        persistent: what becomes of a persistent id; None refuses them.
        limit: bytes that it may ask for at once; numbers in a text take up to twice their own.
    """

    stack: list[Any]  # since the last mark
    append: Callable[[Any], None]
    memo: dict[int, Any]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(
        self,
        stream: IO[bytes],
        size: int,
        allowed: Mapping[tuple[str, str], StandIn] | None = None,
        persistent: Callable[[Any], Any] | None = None,
        limit: int = 2 * MAX_TENSOR_BYTES,
    ) -> None:
        super().__init__(BoundedStream(stream, size, limit), encoding="latin1")
        # What the readers know themselves comes last: no family changes it.
        self._allowed = {place: INERT[kind] for place, kind in families.stand_ins()}
        self._allowed |= ALLOWED_GLOBALS | dict(allowed or {})
        self._allowed |= {
            ("_codecs", "encode"): Function(self._encode),
            ("collections", "OrderedDict"): Function(self._ordered_dict),
            ("builtins", "tuple"): Function(self._tuple),
            ("__builtin__", "tuple"): Function(self._tuple),
        }
        self._persistent = persistent
        self._bytes_left = size
        self.steps_left = MAX_STEPS

    def load(self) -> Any:
        """What the pickle makes; nothing else of it stays in memory."""
        try:
            return super().load()
        finally:
            self.memo.clear()

    def find_class(self, module: str, name: str) -> Any:
        known = self._allowed.get((module, name))
        return inert(module, name) if known is None else known

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise pickle.UnpicklingError("it refers to something outside")
        return self._persistent(pid)

    def _encode(self, text: Any, encoding: Any = None) -> bytes:
        """`_codecs.encode(text, "latin1")`: how protocol 2 holds bytes."""
        if not isinstance(text, str | Text) or encoding != "latin1":
            raise pickle.UnpicklingError("bytes in an unexpected encoding")
        self._bytes_left -= len(
            text.content if isinstance(text, Text) else text
        )  # the same text may be encoded again and again
        if self._bytes_left < 0:
            raise pickle.UnpicklingError("it declares more bytes than the file holds")
        return text.content if isinstance(text, Text) else text.encode("latin1")

    def _ordered_dict(self, items: Any = ()) -> Names:
        """`OrderedDict(pairs)`."""
        return Names(self._counted(items))

    def _tuple(self, items: Any) -> tuple[Any, ...]:
        """`tuple(sequence)`."""
        return tuple(self._counted(items))

    def _counted(self, items: Any) -> list[Any] | tuple[Any, ...]:
        """A sequence that is about to be copied: the same one may be copied again and again."""
        if not isinstance(items, list | tuple):
            raise pickle.UnpicklingError("a sequence of an unexpected kind")
        self.spend(len(items))
        return items

    def spend(self, steps: int) -> None:
        """Takes from the budget of instructions."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise pickle.UnpicklingError(f"it has more than {MAX_STEPS} instructions")

    def reduce(self) -> None:
        """A call, of a class as of a function; whatever the readers do not know makes a `Thing`, of any arguments."""
        if len(self.stack) > 1 and isinstance(self.stack[-2], Thing):
            self.stack.pop()
            self.stack[-1] = Thing(self.stack[-1].kind)
        else:
            self.check_arguments()
            CALL(self)

    def check_arguments(self) -> None:
        """Each call unpacks its arguments, which may be the same long tuple again and again."""
        arguments = self.stack[-1]
        if not isinstance(arguments, tuple) or len(arguments) > MAX_ARGUMENTS:
            raise pickle.UnpicklingError("a call with unexpected arguments")

    def check_name(self) -> None:
        require_plain_names(self.stack[-2:-1])

    def check_names(self) -> None:
        require_plain_names(self.stack[::2])

    def skip_frame(self) -> None:
        """Frames hint at how much to read ahead; one of the whole file would be in memory beside what it holds."""
        self.read(8)

    def text(self) -> None:
        self._text(int.from_bytes(self.read(4), "little"))

    def text_of_8_bytes(self) -> None:
        self._text(int.from_bytes(self.read(8), "little"))

    def _text(self, size: int) -> None:
        content = self.read(size)
        if size <= LONG_TEXT:
            self.append(str(content, "utf-8", "surrogatepass"))
            return
        # One character beyond Latin-1 would make each of the others take two or four bytes.
        if len(content) != size or np.frombuffer(content, np.uint8).max() > LAST_LEAD:
            raise pickle.UnpicklingError(f"a text of {size} bytes")
        self.append(Text(content.decode("utf-8").encode("latin1")))

    def put(self) -> None:
        index = self.readline()[:-1]
        if len(index) > 9 or not index.isdigit():
            raise pickle.UnpicklingError("an impossible memo index")
        self.memo[int(index)] = self.stack[-1]


Step = Callable[[Any], None]
CALL: Step = pickle._Unpickler.dispatch[pickle.REDUCE[0]]
# Instructions that weights do not need: sets, classes by number, old classes, buffers outside the file, integers of
# more than 255 bytes.
REFUSED = (
    *(pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS, pickle.EXT1, pickle.EXT2, pickle.EXT4),
    *(pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.BYTEARRAY8, pickle.LONG4),
    *(pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.PERSID),
)


def _refuse(unpickler: Unpickler) -> None:
    raise pickle.UnpicklingError("an instruction that weights do not need")


def _counted(*steps: Step) -> Step:
    def step(unpickler: Unpickler) -> None:
        unpickler.spend(1)
        for part in steps:
            part(unpickler)

    return step


def _dispatch(original: Mapping[int, Step]) -> dict[int, Step]:
    """The instructions by number, each counted, the dangerous ones checked or refused."""
    parts: dict[int, tuple[Step, ...]] = {code: (step,) for code, step in original.items()}
    parts |= {code[0]: (_refuse,) for code in REFUSED}
    parts[pickle.SETITEM[0]] = (Unpickler.check_name, original[pickle.SETITEM[0]])
    for code in (pickle.SETITEMS, pickle.DICT):
        parts[code[0]] = (Unpickler.check_names, original[code[0]])
    parts[pickle.PUT[0]] = (Unpickler.put,)
    parts[pickle.FRAME[0]] = (Unpickler.skip_frame,)
    parts[pickle.BINUNICODE[0]] = (Unpickler.text,)
    parts[pickle.BINUNICODE8[0]] = (Unpickler.text_of_8_bytes,)
    for code in (pickle.REDUCE, pickle.NEWOBJ):  # a class is called like a function
        parts[code[0]] = (Unpickler.reduce,)
    return {code: _counted(*steps) for code, steps in parts.items()}


Unpickler.dispatch = _dispatch(pickle._Unpickler.dispatch)


# ---- from what was unpickled to arrays -------------------------------------------------------------------


def state_arrays(loaded: Any, size: int) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint by name, from its top, from one of `NESTED` in it, or from parts of it.

    The parts are those that a family names, and `<part>.` then begins the names. Python's numbers beside arrays become
    0-d arrays; text and containers beside them are passed over.

    Args:
        loaded: what the unpickler made.
        size: bytes of the file.

    Raises:
        pickle.UnpicklingError: no dict, no arrays in it, or more numbers than such a file can hold.
    """
    if isinstance(loaded, Thing):
        raise ContentError(f"it holds one object, asks for {loaded.kind}", STATE)
    if not isinstance(loaded, dict):
        raise pickle.UnpicklingError(f"it holds a {type(loaded).__name__}, not a dict of arrays")
    nested = [loaded[name] for name in NESTED if isinstance(loaded.get(name), dict)]
    candidates = [_numbers(entries) for entries in (*nested, *_contained(loaded))]
    found = next((entries for entries in candidates if _has_arrays(entries)), None)
    if found is None:
        # Before the top is looked at, where NumPy's numbers may lie beside the parts.
        lacking = _lacking(loaded)
        if lacking:
            raise pickle.UnpicklingError(lacking)
        found = _top_or_only_state(loaded)
    _require_held(found.values(), size)
    return {name: _array(value) for name, value in found.items()}  # in turn: an array lets go of its bytes


def _top_or_only_state(loaded: dict[Any, Any]) -> dict[str, Any]:
    """The arrays at the top, or the one state that lies under a name which is not known.

    Raises:
        ContentError: there is none, or there are several; it says what there is.
    """
    top = _numbers(loaded)
    states = {
        name: value
        for name, value in loaded.items()
        if isinstance(name, str) and isinstance(value, dict) and _has_arrays(value)
    }
    arrays = [name for name, value in top.items() if isinstance(value, Numbers)]
    # Beside one state there may be arrays of other things, which are no layer's.
    if arrays and (not states or any("." in name for name in arrays)):
        return top
    if len(states) == 1:
        return _numbers(next(iter(states.values())))
    names = ", ".join(shown(name) for name in [*(states or loaded)][:KEYS_SHOWN] if isinstance(name, str))
    if states:
        raise ContentError(
            f"it holds no arrays by name, but several states, {names}", "save the one of the network"
        )
    for name in NESTED:
        if isinstance(value := loaded.get(name), Thing):
            raise ContentError(f"its {name!r} is an object, which asks for {value.kind}", STATE)
    raise ContentError(f"it holds no arrays by name{f', but {names}' if names else ''}", STATE)


def _array(value: Any) -> np.ndarray:
    return value.array() if isinstance(value, Numbers) else np.array(value)


def _require_held(values: Iterable[Any], size: int) -> None:
    """Raises `pickle.UnpicklingError` if the arrays among some values are more than a file of this size can hold."""
    if sum(value.nbytes for value in values if isinstance(value, Numbers)) > allowance(size):
        raise pickle.UnpicklingError("it declares more numbers than the file holds")


def _contained(loaded: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    """The states that lie beside each other in a file, as one, for each family whose files are so."""
    for names in families.containers():
        parts = _parts(loaded, names)
        if len(parts) == len(names):
            yield {
                f"{name}.{own}": value
                for name, part in parts.items()
                for own, value in part.items()
                if isinstance(own, str)
            }


def _parts(loaded: dict[Any, Any], names: tuple[str, ...]) -> dict[str, dict[Any, Any]]:
    """Of some names those under which a file has a dict with arrays."""
    parts = {name: loaded.get(name) for name in names}
    return {name: part for name, part in parts.items() if isinstance(part, dict) and _has_arrays(part)}


def _lacking(loaded: dict[Any, Any]) -> str:
    """Which state a file lacks that has others of a family; empty where it has none of any family."""
    for names in families.containers():
        present = _parts(loaded, names)
        if present:
            missing = " and ".join(name for name in names if name not in present)
            return f"it lacks {missing}, a network that such files have beside {' and '.join(present)}"
    return ""


def _has_arrays(entries: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Numbers) for value in entries.values())


def _numbers(entries: dict[Any, Any]) -> dict[str, Numbers | bool | int | float]:
    """The arrays and numbers of a dict."""
    found: dict[str, Numbers | bool | int | float] = {}
    for name, value in entries.items():
        # Paddle holds the tensors of a nested state as (automatic name, array).
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Array):
            value = value[1]
        if not isinstance(value, Numbers | bool | int | float):
            continue
        if isinstance(name, str) and (type(value) is not int or abs(value) < 1 << 63):
            found[name] = value
        elif isinstance(value, Numbers):
            raise pickle.UnpicklingError("an array whose name is no text")
    return found


# ---- what else a checkpoint of a training says --------------------------------------------------------------


def kept_number(loaded: Any, *names: str) -> int | None:
    """A whole number in a checkpoint by the keys from its top, such as `epoch`; None where there is none."""
    value = loaded
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, Numbers):
        array = value.array() if value.nbytes <= np.dtype(np.float64).itemsize else None
        value = array.item() if array is not None and array.size == 1 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 31:
        return None
    return int(value) if float(value).is_integer() else None


def kept_record(loaded: Any, name: str) -> dict[str, Any]:
    """A dict at the top of a checkpoint, such as `config`: its plain values, and dicts and lists of such.

    NumPy's numbers become Python's; what else is in it is left out.

    Returns:
        {} where there is none.

    Raises:
        pickle.UnpicklingError: it is deeper or larger than options are, refers to itself, or is an object whose values
            are not known, for options that count must not be passed over in silence.
    """
    value = loaded.get(name) if isinstance(loaded, dict) else None
    if isinstance(value, Thing):
        raise ContentError(f"its {name!r} is an object, which asks for {value.kind}", STATE)
    return _plain(value, [MAX_RECORD], MAX_DEPTH) if isinstance(value, dict) else {}


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """A value of a record, copied; None for what is not plain. `left` counts down: what is shared counts each time."""
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise pickle.UnpicklingError("its options are deeper or more than options can be")
    if isinstance(value, dict):
        items = ((key, _plain(one, left, depth - 1)) for key, one in value.items())
        return {key: one for key, one in items if isinstance(key, str)}
    if isinstance(value, list | tuple):
        return [_plain(one, left, depth - 1) for one in value]
    if isinstance(value, Numbers):
        return value.array().item() if value.nbytes <= np.dtype(np.float64).itemsize else None
    return value if isinstance(value, bool | int | float | str) else None


def optimizer_arrays(loaded: Any, size: int) -> list[dict[str, np.ndarray]]:
    """Adam's moments in a checkpoint: for each parameter, in the optimiser's order, `step`, `exp_avg` and `exp_avg_sq`.

    Args:
        loaded: what the unpickler made.
        size: bytes of the file.

    Returns:
        {} for a parameter that was never updated; [] where the file keeps no state of an optimiser.

    Raises:
        pickle.UnpicklingError: the state is none of Adam's.
    """
    kept = loaded.get("optimizer") if isinstance(loaded, dict) else None
    if kept is None:
        return []
    numbers, states = _numbered(kept)
    found = [states.get(number, {}) for number in numbers]
    if any(not isinstance(state, dict) or (state and not _is_moments(state)) for state in found):
        raise pickle.UnpicklingError("the state of its optimizer has other numbers than Adam's")
    _require_held((state[key] for state in found if state for key in MOMENTS), size)
    return [{key: _array(state[key]) for key in MOMENTS} if state else {} for state in found]


def _numbered(kept: Any) -> tuple[list[int], dict[Any, Any]]:
    """The numbers of an optimiser's parameters in their order, and the state of each number."""
    groups, states = (kept.get(key) if isinstance(kept, dict) else None for key in ("param_groups", "state"))
    if isinstance(groups, list) and isinstance(states, dict) and len(groups) <= MAX_PARAMETERS:
        lists = [group.get("params") if isinstance(group, dict) else None for group in groups]
        whole = [one for one in lists if isinstance(one, list)]
        if len(whole) == len(lists) and sum(map(len, whole)) <= MAX_PARAMETERS:
            numbers = [number for one in whole for number in one]
            if all(type(number) is int for number in numbers):
                return numbers, states
    raise pickle.UnpicklingError("the state of its optimizer is none")


def _is_moments(state: dict[Any, Any]) -> bool:
    step = kept_number(state, MOMENTS[0])
    arrays = all(isinstance(state.get(key), Numbers) for key in MOMENTS[1:])
    return arrays and step is not None and step >= 0
