"""The ResNets of torchvision (He et al. 2016), 18 to 152: names and shapes, and which one a file holds."""

import re

from core.weights.families.base import Shape, Shapes, side

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CLASSES = 1000
CLASSIFIER = ("fc.weight", "fc.bias")
FIRST_BOTTLENECK = 50  # layers; from here on a block has three convolutions
BLOCK = re.compile(r"layer([1-4])\.(\d{1,2})\.")


def feature_channels(bottleneck: bool) -> tuple[int, ...]:
    """Channels of the five features, finest first."""
    return (64, *(64 * 2**level * (4 if bottleneck else 1) for level in range(4)))


def resnet_shapes(num_layers: int, images: int) -> dict[str, Shape]:
    """Every tensor in the order of torchvision, classifier and counters included.

    Args:
        num_layers: 18, 34, 50, 101 or 152.
        images: RGB images stacked along the input channels.
    """
    shapes: dict[str, Shape] = {"conv1.weight": (64, 3 * images, 7, 7), **_batch_norm("bn1", 64)}
    inputs, bottleneck = 64, num_layers >= FIRST_BOTTLENECK
    for level, count in enumerate(BLOCKS[num_layers]):
        width, outputs = 64 * 2**level, feature_channels(bottleneck)[level + 1]
        for block in range(count):
            prefix = f"layer{level + 1}.{block}"
            sides = [(width, inputs, 3), (width, width, 3)]
            if bottleneck:
                sides = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            for number, (rows, columns, size) in enumerate(sides, start=1):
                shapes[f"{prefix}.conv{number}.weight"] = (rows, columns, size, size)
                shapes |= _batch_norm(f"{prefix}.bn{number}", rows)
            if block == 0 and (level > 0 or bottleneck):
                shapes[f"{prefix}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= _batch_norm(f"{prefix}.downsample.1", outputs)
            inputs = outputs
    return shapes | {"fc.weight": (CLASSES, inputs), "fc.bias": (CLASSES,)}


def resnet_of(shapes: Shapes) -> tuple[int, int] | None:
    """Number of layers and of stacked images of the ResNet with these names, or None.

    It may be damaged: the number of blocks and the kind of the first decide.
    """
    found = [BLOCK.match(name) for name in shapes]
    counts = [0] * 4
    for match in filter(None, found):
        level = int(match[1]) - 1
        counts[level] = max(counts[level], int(match[2]) + 1)
    bottleneck = any(name.startswith("layer1.0.conv3.") for name in shapes)
    for num_layers, blocks in BLOCKS.items():
        if blocks == tuple(counts) and bottleneck == (num_layers >= FIRST_BOTTLENECK):
            return num_layers, max(side(shapes, "conv1.weight", 1) // 3, 1)
    return None


def _batch_norm(name: str, channels: int) -> dict[str, Shape]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{kind}": (channels,) for kind in kinds}, f"{name}.num_batches_tracked": ()}
