"""Colour pictures of a file of disparities; needs neither weights nor data."""

from pathlib import Path

from core.errors import run
from core.options import VisualizationOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, paints, reports."""
    options = parse(VisualizationOptions, argv, __doc__ or "")
    from core.evaluation.disparity_files import load_disparities
    from core.evaluation.pictures import BESIDE, save_disparity_pictures
    from core.files.whole import require_writable_folder

    path = Path(options.disparities or "")  # validated by the parser
    disparities = load_disparities(path, mapped=True)
    folder = Path(options.output or path.parent / BESIDE)
    require_writable_folder(folder, "output")
    save_disparity_pictures(folder, disparities)
    print(f"{len(disparities)} pictures in {folder}")


if __name__ == "__main__":
    run(main)
