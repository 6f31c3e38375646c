"""The Paddle Monodepthv2's folders, and what the Paddle backend writes: Monodepth2's networks in PaddlePaddle's layout.

The names are Monodepth2's but for those of BatchNorm's statistics, matrices are transposed, and there are no counters
of batches: the rules of `core/weights/layouts.py`.
"""

from core.weights.families import monodepth2
from core.weights.families.base import Network, Shape, Shapes, is_counter
from core.weights.layouts import native_names, official_shapes


def shapes(network: Network) -> dict[str, Shape]:
    """Name to shape of a network's `.pdparams`."""
    expected = {name: shape for name, shape in network.shapes.items() if not is_counter(name)}
    return {
        native: expected[name][::-1] if transposed else expected[name]
        for name, (native, transposed) in native_names(expected).items()
    }


def recognise(native: Shapes) -> Network | None:
    """The network with these names of PaddlePaddle's, or None."""
    return monodepth2.FAMILY.recognise(official_shapes(native))
