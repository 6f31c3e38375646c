"""What the trainer, validation, predictor, export and parity ask of a method: this and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from backends.torch.tensors import Draw, draw
from core.datasets.sample import input_key
from core.errors import UserError
from core.options import Options
from core.options.needs import Input


@dataclass
class Losses:
    """What a training step is by.

    Attributes:
        loss: scalar, what is differentiated.
        terms: scalars for the log, weighted; they need not sum to `loss`.
        maps: detached, for pictures and the collapse guard: `sigmoid_<scale>`, `warped_<frame>_0`, masks; and
            `disparity` (B, 1, h, w), the prediction for the target, where the loss makes one.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    maps: dict[str, Tensor] = field(default_factory=dict)


class Method(nn.Module):
    """The networks, forward pass and losses of one paper.

    Everything random in it (noise, dropout, flips; a permutation is the order of uniform numbers) is asked of
    `draw`, and nothing is drawn in evaluation mode.

    Attributes:
        depth_networks: names of the files that prediction needs; none for a method that predicts no depth.
        pose_networks: names of the files that motion needs, besides.
        inputs: what `predict` takes, by name.
        has_rays: `predict` gives rays beside the disparity: the camera need not be known.
        progress: epoch / number of epochs, the same within an epoch. Set by whoever runs the method; one that reads it
            keeps it in `scalars()`.

    Args:
        options: of the method.
        draw: name, shape and "normal" or "uniform" (in [0, 1)) → float32 numbers on the device; those of the
            framework's random state unless said otherwise.
    """

    depth_networks: tuple[str, ...] = ()
    pose_networks: tuple[str, ...] = ()
    inputs: dict[str, Input] = {"image": Input(3)}  # noqa: RUF012 (never changed, only replaced)
    has_rays: bool = False
    progress: float = 1.0

    def __init__(self, options: Options, draw: Draw = draw) -> None:
        super().__init__()
        self.options, self.draw = options, draw

    def networks(self) -> dict[str, nn.Module]:
        """The networks by the name of their weight file, in the order of the optimiser's parameters."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict]:
        """What is trained, in the optimiser's groups: the only place that says so. What is frozen is absent."""
        networks = self.networks().values()
        return [{"params": [p for network in networks for p in network.parameters() if p.requires_grad]}]

    def complete(
        self, numbers: Mapping[str, Mapping[str, float]] | None = None, beginning: bool = False
    ) -> None:
        """Called before anything is computed, once the weights are those that it is computed with.

        Args:
            numbers: what `scalars()` has kept beside the tensors, by file, where the weights come from files.
            beginning: a new training begins: what its options say counts more than what its first weights brought.

        Raises:
            UserError: neither options nor weights have something that the method needs.
        """

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A training batch on the device as the losses take it, such as with parts of its samples exchanged."""
        return batch

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """The losses of a batch on the device, see `core/datasets/sample.py`: images (B, 3, H, W) in [0, 1]."""
        raise NotImplementedError

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs by the names of `inputs`, (B, channels, H, W), images in [0, 1] → the prediction.

        Returns:
            `disparity` (B, 1, h, w): 1 / depth; together with `rays` (B, 3, h, w), unit vectors, 1 / range along them;
            perhaps `valid` (B, 1, h, w).
        """
        raise NotImplementedError

    def inputs_of(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What `predict` takes, of a batch: inputs that are not required may be absent."""
        keys = {name: input_key(name) for name in self.inputs}
        return {name: batch[key] for name, key in keys.items() if self.inputs[name].required or key in batch}

    def pose_frames(self) -> list[int]:
        """Offsets in time of the images that the pose network sees at once, the target 0 first.

        Raises:
            UserError: the model has no pose network.
        """
        raise UserError(f"{self.options.method}: has no pose network, so it cannot tell the camera's motion")

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) in the order of `pose_frames()` → T_source_target (B, 4, 4) of each source."""
        raise NotImplementedError

    def scalars(self) -> dict[str, dict[str, Any]]:
        """Python's numbers kept beside the tensors of a weight file, by the file's name; arrays are buffers."""
        return {}
