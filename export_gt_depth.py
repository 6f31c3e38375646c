"""Writes the ground truth of a split: scans projected into the image, or annotated depth maps."""

from pathlib import Path

from core.errors import run
from core.options import ExportOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, exports, reports."""
    options = parse(ExportOptions, argv, __doc__ or "")
    import numpy as np
    from tqdm import tqdm

    from core.datasets.ground_truth import (
        check_maps,
        check_sources,
        choose_source,
        ground_truth,
        ground_truth_name,
        look_at_scans,
        maps_of_folder,
        save_ground_truth,
    )
    from core.datasets.splits import load_split, split_folder
    from core.errors import UserError
    from core.options.protocols import FORWARD_SCAN
    from core.plausibility.checks import unlikely
    from core.plausibility.truth import few_pixels

    assert options.split is not None  # validated by the parser
    root = Path(options.depth_maps or options.data_path or "")
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; "
            + ("see --depth_maps" if options.depth_maps else "--data_path must be the root of KITTI raw")
        )
    lines = load_split(options.split, "test")
    name = ground_truth_name(FORWARD_SCAN if options.source == FORWARD_SCAN else None)
    output = Path(options.output or split_folder(options.split) / name)
    if options.depth_maps is not None:
        source, export = "own", maps_of_folder(root, lines, options.depth_unit, options.unknown)
    else:
        source = options.source if options.source != "auto" else choose_source(root, options.split, lines)
        check_sources(root, lines, source)
        export = ground_truth(root, lines, source, options.nearest_point)
        if source != "annotated":
            look_at_scans(root, lines)
    maps = list(tqdm(export, desc=f"{source} depth", total=len(lines), unit="map", disable=None))
    check_maps(f"{source} depth of {root}", maps)
    if few := few_pixels(np.array([depth.index.size for depth in maps])):
        unlikely("few_pixels", f"{source} depth of {root}: {few}")
    save_ground_truth(output, maps)
    known = sum(depth.index.size for depth in maps) / len(maps)
    print(f"{output}: {len(maps)} {source} maps, {known:.0f} known pixels each on average")


if __name__ == "__main__":
    run(main)
