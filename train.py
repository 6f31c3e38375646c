"""Trains a depth network from video, stereo pairs or both: options → backend → Trainer(options).run()."""

from backends import load_backend
from core.errors import run
from core.options import Monodepth2Options
from core.parsing import parse


def main(argv: list[str] | None) -> None:
    """Parses the options of the chosen method and trains it."""
    options = parse(Monodepth2Options, argv, __doc__)
    load_backend(options.backend, "trainer").Trainer(options).run()


if __name__ == "__main__":
    run(main)
