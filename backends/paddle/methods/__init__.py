"""One paper per file; this dict is the registry, and imports a method when it is asked for."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backends.paddle.methods.base import Method
    from core.options import Options

METHODS = {
    "monodepth2": "backends.paddle.methods.monodepth2.Monodepth2",
    "sc_depth": "backends.paddle.methods.sc_depth.SCDepth",
    "epcdepth": "backends.paddle.methods.epcdepth.EPCDepth",
    "packnet": "backends.paddle.methods.packnet.PackNet",
    "packnet_san": "backends.paddle.methods.packnet_san.PackNetSAN",
    "featdepth": "backends.paddle.methods.featdepth.FeatDepth",
    "ray_surface": "backends.paddle.methods.ray_surface.RaySurface",
}


def make_method(options: "Options", **settings: Any) -> "Method":
    """The method that the options are of, with fresh weights.

    Args:
        settings: `draw`, see `Method`.
    """
    module, _, name = METHODS[options.method].rpartition(".")
    return getattr(importlib.import_module(module), name)(options, **settings)
