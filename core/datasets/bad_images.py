"""The memory of images that cannot be used, for training that skips them."""

import threading
from pathlib import Path

from core.errors import UserError
from core.files.images import BadImageError

MAX_BAD_SHARE = 0.1  # bad images to each line of the split, beyond which nothing is skipped any more
MOST_NEWS = 20  # lines about bad images at a time


class BadImages:
    """The missing and damaged images met so far; for several threads.

    Args:
        lines: of the split; so many images of the target camera there are, roughly.
    """

    def __init__(self, lines: int) -> None:
        self._most = max(1, MAX_BAD_SHARE * lines)
        self._reasons: dict[Path, str] = {}
        self._told = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._reasons)

    def check(self, path: Path) -> None:
        """Raises BadImageError if the image is known to be bad, which saves reading it again."""
        if path in self._reasons:
            raise BadImageError(path, self._reasons[path])

    def add(self, error: BadImageError) -> None:
        """Takes note of an image.

        Raises:
            UserError: they are more than a tenth of the lines of the split.
        """
        with self._lock:
            self._reasons.setdefault(error.path, error.reason)
            count = len(self._reasons)
        if count > self._most:
            raise UserError(
                f"{error.path}: {error.reason}; with it {count} images are missing or damaged, more than "
                f"{MAX_BAD_SHARE:.0%} of the split's lines; "
                "mend the data set (train.py --dry_run lists what is bad)"
            )

    def news(self) -> list[str]:
        """A line for each image that has become known since the last call; if they are many, for the first."""
        with self._lock:
            new = list(self._reasons.items())[self._told :]
            self._told = len(self._reasons)
        more = [f"skipped: {len(new) - MOST_NEWS} more"] if len(new) > MOST_NEWS else []
        return [f"skipped: {path}: {reason}" for path, reason in new[:MOST_NEWS]] + more
