"""Initial weights, written out because the frameworks' defaults differ."""

import math

from torch import nn


def initialize_encoder(module: nn.Module) -> None:
    """ResNet from scratch: convolutions Kaiming normal (fan out, ReLU); BatchNorm weight 1, bias 0 (He et al. 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def initialize_decoder(module: nn.Module) -> None:
    """Decoders, pose networks: weights Kaiming uniform with a = √5, i.e. ±1/√fan_in; biases uniform ±1/√fan_in."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))


def initialize_xavier(module: nn.Module) -> None:
    """Convolutions of two and three dimensions: weights uniform ±√(6 / (fan_in + fan_out)), biases 0 (Glorot 2010)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            positions = math.prod(layer.kernel_size)
            bound = math.sqrt(6 / (positions * (layer.in_channels + layer.out_channels)))
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
