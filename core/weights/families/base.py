"""What a family says of its files, and what a rule for a network's file says."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from core.options import Options

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
State = Mapping[str, Any]  # name to array, or to shape: what is sorted by name alone works for both

# What a family may make of a global that its pickles name; `core/weights/stand_ins.py` has them. None runs anything.
RECORD = (
    "record"  # an instance without arguments whose state is not looked at, such as a CfgNode or a Namespace
)
DROPPED = "dropped"  # a call whose arguments are not looked at


class Network(ABC):
    """One network of one release with its parameters: the names and shapes of its file follow.

    Attributes:
        family: the release.
        paddle_family: who writes its files in PaddlePaddle's layout.
        options: the option that each parameter follows, for messages.
        numbers: Python's numbers beside the tensors of its file, and their type.
        classifier: names of a classifier that such files have and no network uses.
    """

    family: ClassVar[str]
    paddle_family: ClassVar[str] = "PaddlePaddle"
    options: ClassVar[dict[str, str]] = {}
    numbers: ClassVar[Mapping[str, type]] = {}
    classifier: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def file(self) -> str:
        """The name that loaders look for, without extension."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The network and its parameters, such as `pose encoder, ResNet-50, 2 images`."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """Official name to shape, in the order of the official file."""

    @property
    def optional(self) -> frozenset[str]:
        """Names that a file may lack and that nothing computes with, or that are plain numbers."""
        counters = (name for name in self.shapes if is_counter(name))
        return frozenset([*counters, *self.classifier, *self.numbers])

    @property
    def left_out(self) -> frozenset[str]:
        """Names that the network has and this file, one for prediction, has not: they serve training alone."""
        return frozenset()

    @property
    def needed(self) -> dict[str, Shape]:
        """`shapes` without the optional names."""
        optional = self.optional
        return {name: shape for name, shape in self.shapes.items() if name not in optional}

    def named(self, file: str) -> "Network":
        """The rule for a file of this name, where content alone leaves two."""
        return self

    @property
    def refusal(self) -> str | None:
        """Why a network that is recognised cannot be used: `its encoder is a …, which is not here; …`."""
        return None

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """Which of some given options this file contradicts: `--num_layers 18, but its encoder is a ResNet-50`."""
        return None

    def remark(self, shapes: Shapes) -> str | None:
        """What is odd about a file of this network, though it fits."""
        return None

    def fits(self, other: "Network") -> bool:
        """Whether another network of the same family may belong to the same model."""
        return True

    def __str__(self) -> str:
        return f"{self.family}'s {self.title}"


Recognise = Callable[[Shapes], Network | None]


@dataclass(frozen=True)
class MethodFamily:
    """The files of one method's releases.

    Attributes:
        method: its name, as `--method` takes it; "" for networks that only start the training of others.
        networks: name of each file of a model, without extension, to what recognises its network: the one with these
            official names and shapes, or the one that a damaged file comes nearest to, or None.
        options_of: the options of a model: {file name: rule} of those recognised, {file name: official state} of all
            that are there. It may raise UserError, of the files' numbers.
        split: the networks in one file, {file name: official state}; None where the file is not such a one. Where
            authors' names or layouts differ from ours, it renames and rearranges.
        join: goes back, to a state as the authors' program writes it.
        containers: keys under which such a file keeps one state each: `("encoder", "depth_decoder")` is read as
            names `encoder.…` and `depth_decoder.…`. A single `state_dict` or `model` is found anyway.
        optimised: where such a file keeps the state of an optimiser beside its networks, those whose parameters it has,
            in its order.
        frozen: those of them which do not learn, and whose parameters the optimiser may therefore lack.
        finished: keys, from the top, to the number of epochs that are done in such a file; (): `epoch` at its top, the
            last of them, counted from 0.
        alone: networks that are a whole model: such a file need not hold the others.
        configuration: key under which such a file keeps the options of its training, in pickles alone.
        configured: the options of ours that follow from them, of any type; they are checked as those of YAML are.
        reached: those that follow from them and from the last epoch of the training, counted from 0.
        untold: the options that its files cannot tell, whose defaults are taken and said.
        stand_ins: what becomes of globals (module, name) in its pickles: `RECORD` or `DROPPED`.
    """

    method: str
    networks: Mapping[str, Recognise]
    options_of: "Callable[[Mapping[str, Network], Mapping[str, State]], Options] | None" = None
    split: Callable[[State], dict[str, dict[str, Any]] | None] | None = None
    join: Callable[[Mapping[str, State]], dict[str, Any]] | None = None
    containers: tuple[str, ...] = ()
    optimised: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    configuration: str = ""
    configured: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    reached: Callable[[Mapping[str, Any], int], dict[str, Any]] | None = None
    untold: tuple[str, ...] = ()
    stand_ins: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def recognise(self, shapes: Shapes) -> Network | None:
        """The network with these official names and shapes, or the one that a damaged file comes nearest to."""
        recognisers = dict.fromkeys(self.networks.values())
        return next(filter(None, (recognise(shapes) for recognise in recognisers)), None)

    def parts(self, name: str, state: State) -> Mapping[str, State]:
        """The networks in a file of this name: several where the family splits it."""
        found = self.split(state) if self.split else None
        return found if found else {name: state}


@dataclass(frozen=True)
class Prefixes:
    """Several networks in one file, each under a prefix: `split` and `join` of a family.

    Attributes:
        networks: prefix to file name, such as `{"depth_net.": "depth", "pose_net.": "pose"}`.
    """

    networks: Mapping[str, str]

    def split(self, state: State) -> dict[str, dict[str, Any]] | None:
        """{file name: state without the prefix}; None if a name has none of the prefixes."""
        found: dict[str, dict[str, Any]] = {}
        for name, value in state.items():
            prefix = next(filter(name.startswith, self.networks), None)
            if prefix is None:
                return None
            found.setdefault(self.networks[prefix], {})[name.removeprefix(prefix)] = value
        return found

    def join(self, states: Mapping[str, State]) -> dict[str, Any]:
        """One state of all, with prefixes."""
        prefixes = {file: prefix for prefix, file in self.networks.items()}
        return {
            prefixes[file] + name: value for file, state in states.items() for name, value in state.items()
        }


def is_counter(name: str) -> bool:
    """Whether this is PyTorch's counter of batches, which PaddlePaddle does not have and nothing computes with."""
    return name.endswith("num_batches_tracked")


def is_number(name: str, shape: Shape) -> bool:
    """Whether this is one of Python's numbers that files have beside the tensors: no layer's, and without sides."""
    return "." not in name and shape == () and not is_counter(name)


def numbers_in(state: State) -> dict[str, float]:
    """Python's numbers in a state, by name."""
    return {name: array.item() for name, array in state.items() if is_number(name, array.shape)}


def side(shapes: Shapes, name: str, axis: int) -> int:
    """A side of a tensor, 0 when the tensor is absent or has another number of dimensions."""
    shape = shapes.get(name, ())
    return shape[axis] if axis < len(shape) else 0
