"""What makes the networks of weight files from the rules of their release; one file a family, imported when asked for.

Each has `make_network(rule)`: the network, with fresh weights, that has the names of the rule; and
`network_outputs(rule, networks)`: what the one of them under `rule.file` returns for fixed inputs, see
`core/weights/verification.py`. Those beside it may feed it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.weights.families.base import Network

# By the release that a rule names as its family.
BUILDERS = {
    "Monodepth2": "backends.paddle.builders.monodepth2",
    "SC-Depth": "backends.paddle.builders.sc_depth",
    "EPCDepth": "backends.paddle.builders.epcdepth",
    "PackNet": "backends.paddle.builders.packnet",
    "PackNet-SAN": "backends.paddle.builders.packnet_san",
    "FeatDepth": "backends.paddle.builders.featdepth",
    "RaySurface": "backends.paddle.builders.ray_surface",
    "torchvision": "backends.paddle.builders.torchvision",
}


def builder(rule: "Network") -> Any:
    """The module that makes the network of a rule."""
    return importlib.import_module(BUILDERS[rule.family])
