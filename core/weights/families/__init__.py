"""The releases whose files are known: one file a family. Names and shapes only: neither NumPy nor a framework.

A family's `recognise` takes official names and shapes and says which network they are.
"""

import dataclasses
from collections.abc import Mapping

from core.weights.families import monodepth2, torchvision
from core.weights.families.base import Network, Shape

FAMILIES = (monodepth2, torchvision)


def recognise(shapes: Mapping[str, Shape]) -> Network | None:
    """The network that a state is, or comes nearest to when names or shapes are wrong; None for none that is known.

    Args:
        shapes: official name to shape.
    """
    return next(filter(None, (family.recognise(shapes) for family in FAMILIES)), None)


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
