"""Weights of which only some fit a network, where a user asks for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError, say
from core.files.whole import shown_name
from core.weights.layouts import check_state

if TYPE_CHECKING:
    import numpy as np

NAMES_SHOWN = 3


def completed(
    state: Mapping[str, "np.ndarray"], own: Mapping[str, "np.ndarray"], network: str, path: Path
) -> "dict[str, np.ndarray]":
    """A network's state in which whatever fits comes from a file; says what does not, on standard error.

    Args:
        state: official state in the file.
        own: the same of the network as it is.
        network: its name.
        path: of the file.

    Raises:
        UserError: nothing fits, or what fits has numbers that weights cannot be.
    """
    fitting = [name for name in own if name in state and state[name].shape == own[name].shape]
    if not fitting:
        raise UserError(
            f"{path}: no tensor of it fits {network}, neither by name nor by shape; check the file"
        )
    check_state(path, {name: state[name] for name in fitting})
    say(f"{path}: {network}: loaded {len(fitting)} of {len(own)} tensors")
    for words, names in (
        ("absent, left as they are", [name for name in own if name not in state]),
        (
            "of another shape, left as they are",
            [name for name in own if name in state and name not in fitting],
        ),
        ("in the file alone, not loaded", [name for name in state if name not in own]),
    ):
        if names:
            shown = ", ".join(map(shown_name, names[:NAMES_SHOWN]))
            more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            say(f"  {words}: {shown}{more}")
    return {name: state[name] if name in fitting else own[name] for name in own}
