"""One paper per file; this dict is the registry."""

from backends.paddle.methods.base import Method
from backends.paddle.methods.monodepth2 import Monodepth2

METHODS: dict[str, type[Method]] = {"monodepth2": Monodepth2}
