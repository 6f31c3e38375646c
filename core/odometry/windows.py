"""Which images a pose network has to see for the motion between each two neighbours of a video."""

from dataclasses import dataclass

import numpy as np

from core.errors import UserError
from core.geometry import invert_rigid


@dataclass(frozen=True)
class PoseWindows:
    """One window of images for each pair (t, t + 1).

    A network for pairs sees (t, t + 1). One that sees all its frames at once, such as 0 -1 1, gets them around
    t, where it gives the motion itself. At the ends of the video it gets them around another frame, and the
    motion follows from its poses of t and t + 1 in that window.

    Attributes:
        frames: offsets of the images of a window, the target's 0 first.
        centres: (N − 1,) the image at offset 0.
        current, following: (N − 1,) where t and t + 1 stand in the window.
    """

    frames: list[int]
    centres: np.ndarray
    current: np.ndarray
    following: np.ndarray

    @classmethod
    def plan(cls, frames: list[int], count: int) -> "PoseWindows":
        """Windows for a video of `count` images.

        Raises:
            UserError: too few images, or two neighbours that no window holds.
        """
        first, last = min(frames), max(frames)
        if count <= last - first:
            raise UserError(
                f"{count} images: the pose network sees {last - first + 1} in a row; give it as many"
            )
        # Around t if possible, then around t + 1, then around what is near.
        neighbours = sorted((frame for frame in frames if frame + 1 in frames), key=lambda f: (abs(f), -f))
        chosen = []
        for t in range(count - 1):
            inside = [f for f in neighbours if t - f + first >= 0 and t - f + last < count]
            if not inside:
                raise UserError(
                    f"the pose network sees frames {' '.join(map(str, frames))} at once, and so never the images "
                    f"{t} and {t + 1}: it cannot tell the motion from one image to the next"
                )
            chosen.append(inside[0])
        return cls(
            list(frames),
            np.arange(count - 1) - np.array(chosen),
            np.array([frames.index(frame) for frame in chosen]),
            np.array([frames.index(frame + 1) for frame in chosen]),
        )

    @property
    def images(self) -> np.ndarray:
        """(N − 1, n) the images of each window, in the order of `frames`."""
        return self.centres[:, None] + np.array(self.frames)

    def T_next_current(self, T_sources_target: np.ndarray) -> np.ndarray:  # noqa: N802 (a motion's name)
        """The motions (N − 1, 4, 4) from what the network says of each window, (N − 1, n − 1, 4, 4)."""
        count = len(T_sources_target)
        identity = np.broadcast_to(np.eye(4, dtype=T_sources_target.dtype), (count, 1, 4, 4))
        T_frame_target = np.concatenate([identity, T_sources_target], axis=1)
        rows = np.arange(count)
        T_target_current = invert_rigid(T_frame_target[rows, self.current])
        return np.asarray(T_frame_target[rows, self.following] @ T_target_current)
