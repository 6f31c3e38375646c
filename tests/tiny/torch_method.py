"""`tiny` in PyTorch; `paddle_method.py` is the same in PaddlePaddle."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.methods.base import Losses, Method
from backends.torch.networks.initialization import initialize_decoder
from backends.torch.tensors import Draw, draw, to_tensor
from core.options.needs import Input
from core.weights.verification import fixed_images
from tests.tiny.family import TinyPair
from tests.tiny.options import TinyOptions

HINTED, KEPT = 0.1, 0.75  # shares of the pixels: with a hint, and not dropped


class Depth(nn.Module):
    """Image and hint to disparity, at half their size, above 0 and without a bound."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(4, channels, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, image: Tensor, hint: Tensor) -> Tensor:
        """(B, 3, H, W) and (B, 1, H, W) → (B, 1, H / 2, W / 2)."""
        return F.softplus(self.head(F.elu(self.norm(self.body(torch.cat([image, hint], dim=1)))))) + 0.01


class Anchor(nn.Module):
    """What the disparity should look like; never trained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, 1, H / 2, W / 2)."""
        return self.norm(self.body(image)).mean(dim=1, keepdim=True)


class Pair(nn.Module):
    """Two networks in one file."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth, self.anchor = Depth(channels), Anchor(channels)
        initialize_decoder(self)

    def forward(self, image: Tensor, hint: Tensor | None = None) -> Tensor:
        """The disparity; without a hint, that of zeros."""
        return self.depth(image, image[:, :1] * 0 if hint is None else hint)


class Tiny(Method):
    """One file for two networks, one of them frozen; draws before its loss and inside."""

    depth_networks = ("tiny",)
    inputs = {"image": Input(3), "hint": Input(1, required=False)}  # noqa: RUF012 (never changed)

    def __init__(self, options: TinyOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.tiny = Pair(options.channels)
        for parameter in self.tiny.anchor.parameters():
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> "Tiny":
        """Training mode, but of what is frozen: its statistics stay."""
        super().train(mode)
        for layer in self.tiny.anchor.modules():
            layer.training = False
        return self

    def networks(self) -> dict[str, nn.Module]:
        """The one file."""
        return {"tiny": self.tiny}

    def parameter_groups(self) -> list[dict]:
        """The body, and the head at a rate of its own; nothing of the anchor."""
        depth = self.tiny.depth
        body = [p for layer in (depth.body, depth.norm) for p in layer.parameters() if p.requires_grad]
        return [{"params": body}, {"params": list(depth.head.parameters()), "weight_decay": 1e-3}]

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """With a hint of a few pixels."""
        grey = batch["image_0_0"].mean(dim=1, keepdim=True)
        drawn = self.draw("hint", tuple(grey.shape), "uniform") < HINTED
        return batch | {"hint": grey * drawn.to(grey.dtype)}

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """A root of the terms, the heavier the later."""
        disparity = self.tiny(batch["augmented_0"], batch.get("hint"))
        grey = F.avg_pool2d(batch["image_0_0"], 2).mean(dim=1, keepdim=True)
        residual = disparity - grey
        if self.training:
            drawn = self.draw("dropout", tuple(residual.shape), "uniform") < KEPT
            residual = residual * drawn.to(residual.dtype)
        anchor = self.tiny.anchor(batch["image_0_0"])
        terms = {"colour": residual.square().mean(), "anchor": (disparity - anchor).square().mean()}
        if "image_1_0" in batch:
            change = F.avg_pool2d(batch["image_1_0"], 2).mean(dim=1, keepdim=True) - grey
            terms["change"] = (disparity * change).square().mean()
        loss = (1 + self.progress) * torch.stack(list(terms.values())).sum().sqrt()
        return Losses(
            loss, {name: term.detach() for name, term in terms.items()}, {"residual": residual.detach()}
        )

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` at half the size of `image`, with or without a `hint`."""
        return {"disparity": self.tiny(inputs["image"], inputs.get("hint"))}

    def scalars(self) -> dict[str, dict[str, float]]:
        """The progress, which the loss depends on."""
        return {"tiny": {"progress": self.progress}}


def make_network(rule: TinyPair) -> nn.Module:
    """The file's networks, with fresh weights."""
    return Pair(rule.channels)


def network_outputs(rule: TinyPair, networks: dict[str, nn.Module]) -> list[Tensor]:
    """The disparity of a fixed image."""
    return [networks[rule.file](to_tensor(fixed_images(1)))]
