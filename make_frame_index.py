"""Writes frame_index.txt into every scene: the frames in which enough has moved, for training that skips the others."""

from pathlib import Path

from core.errors import run
from core.options import FrameIndexOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, looks at every image, writes, reports."""
    options = parse(FrameIndexOptions, argv, __doc__ or "")
    from core.datasets.frame_index import make_frame_indices

    assert options.data_path is not None  # validated by the parser
    for index in make_frame_indices(
        Path(options.data_path), options.grey_levels, options.share, options.force
    ):
        print(index.describe(), flush=True)


if __name__ == "__main__":
    run(main)
