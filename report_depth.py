"""A table of evaluations beside three yardsticks, and a picture: what the scripts of recipes end with."""

from pathlib import Path

from core.errors import UserError, run
from core.options import ReportOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, compares, writes `report.md` and `report.png`."""
    options = parse(ReportOptions, argv, __doc__ or "")
    from tqdm import tqdm

    from core.datasets import reader
    from core.datasets.ground_truth import (
        choose_source,
        ground_truth,
        ground_truth_name,
        load_ground_truth,
        require_ground_truth,
    )
    from core.datasets.splits import load_split, split_folder
    from core.evaluation.depth import describe
    from core.evaluation.disparity_files import load_disparities
    from core.evaluation.metrics import METRIC_NAMES
    from core.evaluation.report import load_frames, picture, spread, table, yardsticks
    from core.evaluation.report_rows import read_rows
    from core.files.images import write_image
    from core.files.whole import write_text
    from core.options.needs import Needs, Preparation
    from core.options.protocols import PROTOCOLS, on_list
    from core.plausibility import checks
    from core.plausibility.lists import check_test

    assert options.split is not None and options.disparities is not None  # validated by the parser
    root, output = Path(options.data_path), Path(options.output)
    lines, training = load_split(options.split, "test"), load_split(options.split, "train")
    disparities = load_disparities(Path(options.disparities))
    if len(disparities) != len(lines):
        raise UserError(
            f"{options.disparities}: holds {len(disparities)} predictions but the split lists {len(lines)} images; "
            "predict that split"
        )
    check_test(f"split {options.split}", [line.place for line in training], [line.place for line in lines])
    rows = read_rows(options.metrics)
    protocol = rows.protocol
    if options.protocol is not None and protocol not in (
        PROTOCOLS[options.protocol],
        on_list(options.protocol, options.split),
    ):
        raise UserError(
            f"--metrics {options.metrics[0]}: measured by {protocol.title}, not by {options.protocol}; evaluate with "
            f"--protocol {options.protocol} --eval_split {options.split}"
        )
    depth = protocol.subject.truth
    path = split_folder(options.split) / ground_truth_name(depth)
    require_ground_truth(path, depth, options.data_path, options.split)
    truth = load_ground_truth(path, lines)
    source = depth or choose_source(root, options.split, training)
    known = tqdm(ground_truth(root, training, source), "yardsticks", len(training), unit="map", disable=None)
    maps = list(known)
    measured = {
        f"{name}{ending}": one
        for ending, scaling in rows.endings.items()
        for name, one in yardsticks(maps, truth, protocol, scaling).items()
    }
    text = "\n".join(
        [
            describe(protocol, rows.words(), len(truth)),
            *([f"accepted: {', '.join(checks.accepted())}"] if checks.accepted() else []),
            *(f"warning: {line}" for line in checks.warnings()),
            "",
            table({name: m.mean_of(METRIC_NAMES) for name, m in measured.items()} | rows.means),
            "",
            next(iter(measured.values())).counted().strip(),
        ]
    )
    chosen = spread(len(lines), options.rows)
    dataset = reader("kitti")(root, lines, Needs(), Preparation(64, 64))  # only its paths are asked for
    images = load_frames([dataset.image_path(lines[i], 0) for i in chosen])
    shown = picture(
        images, [disparities[i] for i in chosen], [truth[i] for i in chosen], protocol, rows.shown
    )
    write_text(output / "report.md", text + "\n")
    write_image(output / "report.png", shown)
    print(text)
    print(f"{output / 'report.md'}, {output / 'report.png'}")


if __name__ == "__main__":
    run(main)
