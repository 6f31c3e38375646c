"""Layers shared by the networks."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


def reflect_pad(x: Tensor) -> Tensor:
    """Reflects one pixel at every border: (B, C, H, W) → (B, C, H + 2, W + 2).

    Equal to `F.pad(x, [1, 1, 1, 1], mode="reflect")`, whose kernel takes three times as long on a CPU.
    """
    x = paddle.concat([x[:, :, :, 1:2], x, x[:, :, :, -2:-1]], axis=3)
    return paddle.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], axis=2)


def upsample(x: Tensor) -> Tensor:
    """Every pixel twice in both directions: (B, C, H, W) → (B, C, 2 · H, 2 · W).

    Equal to `F.interpolate(x, scale_factor=2, mode="nearest")`, whose kernel takes five times as long on a CPU.
    """
    batch, channels, height, width = x.shape
    if not paddle.in_dynamic_mode():  # a graph to export, as ONNX has no complex numbers
        return F.interpolate(x, size=[2 * height, 2 * width], mode="nearest")
    # A complex number with two equal parts is a value twice in memory: the fastest way to repeat columns.
    # There are none with 16 bits.
    wide = x.dtype in (paddle.float32, paddle.float64)
    twice = paddle.as_real(paddle.complex(x, x)) if wide else paddle.stack([x, x], axis=4)
    x = twice.reshape([batch, channels, height, 2 * width])
    return paddle.concat([x, x], axis=3).reshape([batch, channels, 2 * height, 2 * width])


class Conv3x3(nn.Layer):
    """3×3 convolution with bias over a reflection-padded input; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(in_channels, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return self.conv(reflect_pad(x))


class ConvBlock(nn.Layer):
    """ELU(Conv3x3(x)), α = 1."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return F.elu(self.conv(x), alpha=1.0)


class BatchNorm2D(nn.BatchNorm2D):
    """BatchNorm that can take several batches at once, each with statistics of its own.

    The running variance moves towards the unbiased variance of a batch, as PyTorch's does.

    Attributes:
        groups: of equal size along the batch: training normalises each by itself, and moves the running statistics by
            one after the other, as if they had come in as many calls.
    """

    groups = 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape.

        Raises:
            ValueError: training on one value per channel, which has no unbiased variance.
        """
        if not self.training or self.groups == 1:
            return self._normalise(x)
        return paddle.concat([self._normalise(part) for part in x.chunk(self.groups)])

    def _normalise(self, x: Tensor) -> Tensor:
        """One batch."""
        values = x.shape[0] * x.shape[2] * x.shape[3]
        if self.training and values == 1:
            raise ValueError(f"BatchNorm in training needs more than one value per channel, got {x.shape}")
        if x.dtype == paddle.float64:
            return self._forward_double(x)
        # A copy, because the kernel keeps the tensor it has moved for its backward pass.
        variance = self._variance.clone() if self.training else self._variance
        normalised = F.batch_norm(
            x,
            self._mean,
            variance,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self._momentum,
            epsilon=self._epsilon,
        )
        if self.training:
            with paddle.no_grad():
                if (
                    x.place.is_gpu_place()
                ):  # which variance its kernels keep is not said; measured is measured
                    batch = x.var(axis=[0, 2, 3], unbiased=True)
                    moved = self._momentum * self._variance + (1 - self._momentum) * batch
                else:
                    # The kernel added (1 - momentum) times the biased variance: make that n / (n - 1) times as much.
                    added = variance - self._momentum * self._variance
                    moved = variance + added / (values - 1)
                paddle.assign(moved, output=self._variance)
        return normalised

    def _forward_double(self, x: Tensor) -> Tensor:
        """The formula written out: the kernel rounds epsilon and momentum to single precision."""
        mean, variance = self._mean, self._variance
        if self.training:
            mean = x.mean(axis=[0, 2, 3])
            variance = x.var(axis=[0, 2, 3], unbiased=False)
            with paddle.no_grad():
                values = x.shape[0] * x.shape[2] * x.shape[3]
                for running, batch in (
                    (self._mean, mean),
                    (self._variance, variance * values / (values - 1)),
                ):
                    paddle.assign(self._momentum * running + (1 - self._momentum) * batch, output=running)
        factor = self.weight / paddle.sqrt(variance + self._epsilon)
        return (x - mean[:, None, None]) * factor[:, None, None] + self.bias[:, None, None]


def normalise_by_groups(network: nn.Layer, groups: int) -> None:
    """Makes every BatchNorm of a network take so many batches at once."""
    for layer in network.sublayers(include_self=True):
        if isinstance(layer, BatchNorm2D):
            layer.groups = groups
