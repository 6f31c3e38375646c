"""Initial weights, written out because the frameworks' defaults differ."""

import math

from paddle import nn
from paddle.nn.initializer import Constant, Normal, Uniform


def initialize_encoder(module: nn.Layer) -> None:
    """ResNet from scratch: convolutions Kaiming normal (fan out, ReLU); BatchNorm weight 1, bias 0 (He et al. 2015)."""
    for layer in module.sublayers(include_self=True):
        if isinstance(layer, nn.Conv2D):
            fan_out = layer.weight.shape[0] * math.prod(layer.weight.shape[2:])
            Normal(0.0, math.sqrt(2 / fan_out))(layer.weight)
            if layer.bias is not None:
                Constant(0.0)(layer.bias)
        elif isinstance(layer, nn.BatchNorm2D):
            Constant(1.0)(layer.weight)
            Constant(0.0)(layer.bias)


def initialize_decoder(module: nn.Layer) -> None:
    """Decoders, pose networks: weights Kaiming uniform with a = √5, i.e. ±1/√fan_in; biases uniform ±1/√fan_in."""
    for layer in module.sublayers(include_self=True):
        if isinstance(layer, nn.Conv2D):
            bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
            Uniform(-bound, bound)(layer.weight)
            if layer.bias is not None:
                Uniform(-bound, bound)(layer.bias)


def initialize_xavier(module: nn.Layer) -> None:
    """Convolutions of two and three dimensions: weights uniform ±√(6 / (fan_in + fan_out)), biases 0 (Glorot 2010)."""
    for layer in module.sublayers(include_self=True):
        if isinstance(layer, nn.Conv2D | nn.Conv3D):
            outputs, inputs, *sides = layer.weight.shape
            bound = math.sqrt(6 / (math.prod(sides) * (inputs + outputs)))
            Uniform(-bound, bound)(layer.weight)
            Constant(0.0)(layer.bias)
