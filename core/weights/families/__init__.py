"""The releases whose files are known: one file a family. Names and shapes only: neither NumPy nor a framework.

A network's file is recognised by the official names and shapes in it, a model by all of its files together.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from core.weights.families import (
    epcdepth,
    featdepth,
    monodepth2,
    packnet,
    packnet_san,
    ray_surface,
    sc_depth,
    torchvision,
)
from core.weights.families.base import MethodFamily, Network, Shape, Shapes, is_counter, is_number

# A method's family has its name. The first is asked for options where no file is recognised.
FAMILIES: dict[str, MethodFamily] = {
    "monodepth2": monodepth2.FAMILY,
    "sc_depth": sc_depth.FAMILY,
    "epcdepth": epcdepth.FAMILY,
    "packnet": packnet.FAMILY,
    "packnet_san": packnet_san.FAMILY,
    "featdepth": featdepth.FAMILY,
    "ray_surface": ray_surface.FAMILY,
    "torchvision": torchvision.FAMILY,
}


@dataclasses.dataclass(frozen=True)
class Match:
    """What a family recognises in a set of files.

    Attributes:
        family: the family.
        networks: file name, or that of a part of a file, to the rule of its network.
        exact: how many of the networks are exactly as their rule says.
        alike: how many of the tensors are.
    """

    family: MethodFamily
    networks: dict[str, Network]
    exact: int
    alike: int = 0

    @property
    def release(self) -> str:
        """The release, for messages."""
        return next(iter(self.networks.values())).family


def matches(files: Mapping[str, Shapes], of_methods: bool = False) -> list[Match]:
    """The families that know a set of files best: one, several that know them alike, or none.

    Args:
        files: name of each file, without extension, to the official names and shapes in it.
        of_methods: leave out families that are no method's.
    """
    known = [family for family in FAMILIES.values() if family.method or not of_methods]
    found = [match for match in (_match(family, files) for family in known) if match.networks]
    ranks = [(match.exact, len(match.networks), match.alike) for match in found]
    return [match for match, rank in zip(found, ranks, strict=True) if rank == max(ranks)]


def _match(family: MethodFamily, files: Mapping[str, Shapes]) -> Match:
    networks, exact, alike = {}, 0, 0
    for name, shapes in files.items():
        for part, own in family.parts(name, shapes).items():
            rule = family.recognise(own)
            if rule is not None:
                networks[part] = rule.named(part)
                alike += _alike(rule, own)
                optional = rule.optional  # goes through all names: once
                exact += rule.needed == {key: own[key] for key in own if key not in optional}
    return Match(family, networks, exact, alike)


def _alike(rule: Network, shapes: Shapes) -> int:
    """How many tensors of a state are as a rule says."""
    return sum(shapes.get(name) == shape for name, shape in rule.needed.items())


def tie(names: Iterable[str], releases: Iterable[str]) -> str:
    """Says that several families know networks alike: `an encoder of either … or …: give the folder …`."""
    words = " and ".join(name.replace("_", " ") for name in names)
    article = "an" if words[0] in "aeiou" else "a"
    return f"{article} {words} of either {' or '.join(releases)}: give the folder with all its networks"


def recognise(shapes: Mapping[str, Shape]) -> Network | None:
    """The network that a state is, or comes nearest to when names or shapes are wrong; None for none that is known.

    Args:
        shapes: official name to shape.
    """
    found = [rule for family in FAMILIES.values() if (rule := family.recognise(shapes)) is not None]
    return max(found, key=lambda rule: _alike(rule, shapes), default=None)


def network_names() -> list[str]:
    """The names, without extension, that files of networks have in the folders of all methods."""
    families = [family for family in FAMILIES.values() if family.method]
    return list(dict.fromkeys(name for family in families for name in family.networks))


def unused(shapes: Mapping[str, Shape]) -> frozenset[str]:
    """Names in a file that are no business of its network: numbers beside the tensors, a classifier.

    Args:
        shapes: official name to shape.
    """
    rules = filter(None, (family.recognise(shapes) for family in FAMILIES.values()))
    numbers = (name for name, shape in shapes.items() if is_number(name, shape))
    optional = (name for rule in rules for name in rule.optional if not is_counter(name))
    return frozenset([*numbers, *optional])


def left_out(shapes: Mapping[str, Shape]) -> frozenset[str]:
    """Names that a network has for training alone and its file, made for prediction, has not.

    Args:
        shapes: official name to shape in the file.
    """
    rule = recognise(shapes)
    return frozenset() if rule is None else rule.left_out


def stand_ins() -> Iterator[tuple[tuple[str, str], str]]:
    """What all families make of globals in pickles, `((module, name), kind)`: a file's family is not known before."""
    for family in FAMILIES.values():
        yield from family.stand_ins.items()


def containers() -> list[tuple[str, ...]]:
    """The keys under which files of each family keep their states."""
    return [family.containers for family in FAMILIES.values() if family.containers]


def explain(found: Mapping[str, Shape], needed: Mapping[str, Shape]) -> str:
    """What a state that does not fit looks like instead, and the cure.

    Args:
        found: official name to shape in the file.
        needed: the same of the network.
    """
    file, network = recognise(found), recognise(needed)
    if file is None:
        return "it looks like no release that is known; check the file"
    if network is None:
        return f"it looks like {file}"
    if (file.family, file.file) != (network.family, network.file) or type(file) is not type(network):
        return f"it looks like {file}, not {network}; give the file of that network"
    if file == network:
        return f"it looks like {file}, but is not quite that; save or download it again"
    options = [file.options[name] for name in _differences(file, network) if name in file.options]
    cure = f"; check {', '.join(f'--{name}' for name in dict.fromkeys(options))}" if options else ""
    return f"it looks like {file}, not {network}{cure}"


def _differences(one: Network, other: Network) -> list[str]:
    assert dataclasses.is_dataclass(one)
    names = [field.name for field in dataclasses.fields(one)]
    return [name for name in names if getattr(one, name) != getattr(other, name)]
