"""Renders the embedded data set: a street drive with known geometry, in KITTI's raw layout."""

from core import errors
from core.options.parsing import parse
from core.rendering.options import RenderOptions


def main(argv: list[str] | None = None) -> None:
    """Parses, renders, reports."""
    options = parse(RenderOptions, argv, __doc__ or "")
    from core.rendering.drive import render_set

    made = render_set(options)
    print(f"{options.output}: {'rendered' if made else 'already there, nothing to do'}")


if __name__ == "__main__":
    errors.run(main)
