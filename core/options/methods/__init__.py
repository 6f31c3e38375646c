"""The options of every method, by the name that `--method` takes; the first is the one where none is named."""

from core.options.methods.epcdepth import EPCDepthOptions
from core.options.methods.featdepth import FeatDepthOptions
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.methods.packnet import PackNetOptions
from core.options.methods.packnet_san import PackNetSANOptions
from core.options.methods.ray_surface import RaySurfaceOptions
from core.options.methods.sc_depth import SCDepthOptions
from core.options.training import Options

OPTIONS: dict[str, type[Options]] = {
    "monodepth2": Monodepth2Options,
    "sc_depth": SCDepthOptions,
    "epcdepth": EPCDepthOptions,
    "packnet": PackNetOptions,
    "packnet_san": PackNetSANOptions,
    "featdepth": FeatDepthOptions,
    "ray_surface": RaySurfaceOptions,
}
