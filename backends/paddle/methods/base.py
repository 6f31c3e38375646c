"""What the trainer and the predictor ask of a method."""

from paddle import Tensor, nn


class Method(nn.Layer):
    """The networks, forward pass and losses of one paper."""

    def networks(self) -> dict[str, nn.Layer]:
        """The networks by the name of their weight file, in the order of the optimiser's parameters."""
        raise NotImplementedError

    def losses(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A batch on the device → weighted scalar terms, to be summed; and maps for the log, detached."""
        raise NotImplementedError

    def disparity(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] → 1 / depth, (B, 1, H, W)."""
        raise NotImplementedError

    def T_source_target(self, target: Tensor, source: Tensor) -> Tensor:  # noqa: N802
        """Two images (B, 3, H, W), the source later than the target → (B, 4, 4)."""
        raise NotImplementedError

    @property
    def pose_frames(self) -> list[int]:
        """Offsets in time of the images that the pose network sees at once, the target 0 first."""
        return [0, 1]

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) in the order of `pose_frames` → T_source_target (B, 4, 4) of each source."""
        return [self.T_source_target(*images)]

    def parameter_groups(self) -> list[dict]:
        """The optimiser's parameter groups."""
        # PaddlePaddle counts the running statistics of BatchNorm among the parameters.
        return [
            {
                "params": [
                    p for network in self.networks().values() for p in network.parameters() if p.trainable
                ]
            }
        ]
