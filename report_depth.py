"""A table of evaluations beside three yardsticks, and a picture: what `configs/monodepthv2/mdp.sh` ends with."""

import json
from pathlib import Path

from core.errors import UserError, run
from core.options import ReportOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, compares, writes `report.md` and `report.png`."""
    options = parse(ReportOptions, argv, __doc__ or "")
    import numpy as np
    from tqdm import tqdm

    from core.datasets import reader
    from core.datasets.ground_truth import choose_source, ground_truth, load_ground_truth
    from core.datasets.splits import load_split, split_folder
    from core.evaluation.depth import DepthProtocol
    from core.evaluation.disparity_files import load_disparities
    from core.evaluation.metrics import METRIC_NAMES
    from core.evaluation.report import load_frames, picture, spread, table, yardsticks
    from core.files.whole import write_atomically, write_text
    from core.options.needs import Needs, Preparation

    assert options.split is not None and options.disparities is not None  # validated by the parser
    root, output = Path(options.data_path), Path(options.output)
    lines, training = load_split(options.split, "test"), load_split(options.split, "train")
    truth = load_ground_truth(split_folder(options.split) / "gt_depths.npz", lines)
    disparities = load_disparities(Path(options.disparities))
    if len(disparities) != len(lines):
        raise UserError(
            f"{options.disparities}: holds {len(disparities)} predictions but the split lists {len(lines)} images; "
            "predict that split"
        )
    results, protocols = {}, []
    for entry in options.metrics:
        name, _, file = entry.partition("=")
        try:
            content = json.loads(Path(file).read_text(encoding="utf-8"))
            results[name] = np.array([content["mean"][metric] for metric in METRIC_NAMES])
            protocols.append(DepthProtocol(**content["protocol"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"--metrics {entry}: {file!r} is no output of evaluate_depth.py with the seven metrics ({error})"
            ) from None
        if protocols[-1] != protocols[0]:
            raise UserError(f"--metrics {entry}: measured otherwise than the first; evaluate all rows alike")
    protocol = protocols[0]  # the parser refuses an empty list
    source = choose_source(root, options.split, training)
    maps = ground_truth(root, training, source)
    known = tqdm(maps, desc="yardsticks", total=len(training), unit="map", disable=None)
    measured = yardsticks(list(known), truth, protocol)
    text = "\n".join(
        [protocol.describe(len(truth)), "", table({name: m.mean for name, m in measured.items()} | results)]
    )
    chosen = spread(len(lines), options.rows)
    dataset = reader("kitti")(root, lines, Needs(), Preparation(64, 64))  # only its paths are asked for
    images = load_frames([dataset.image_path(lines[i], 0) for i in chosen])
    shown = picture(images, [disparities[i] for i in chosen], [truth[i] for i in chosen], protocol)
    write_text(output / "report.md", text + "\n")
    write_atomically(output / "report.png", lambda path: shown.save(path))
    print(text)
    print(f"{output / 'report.md'}, {output / 'report.png'}")


if __name__ == "__main__":
    run(main)
