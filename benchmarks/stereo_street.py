"""Stereo methods on the rendered street, the same CPU seconds for each.

    python -m benchmarks.stereo_street DRIVE OUTPUT

DRIVE is what `render_drive.py` wrote, with ground truth (`export_gt_depth.py`) and hints (`precompute_depth_hints.py`).
A run that is there already is not trained again. The table, means and ranges, is also in OUTPUT/table.md.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# For all alike; nothing stands still between two cameras, so nothing is masked.
COMMON = (
    *(
        "--height",
        "64",
        "--width",
        "192",
        "--batch_size",
        "4",
        "--weights_init",
        "scratch",
        "--min_depth",
        "0.4",
    ),
    *(
        "--learning_rate",
        "5e-4",
        "--num_epochs",
        "1000",
        "--scheduler_step_size",
        "1000",
        "--disable_automasking",
    ),
    *(
        "--no_validation",
        "--num_workers",
        "1",
        "--cache_images",
        "4000",
        "--log_frequency",
        "50",
        "--device",
        "cpu",
    ),
)
MONODEPTH2 = ("--method", "monodepth2", "--frame_ids", "0", "--use_stereo")
EPCDEPTH = ("--method", "epcdepth")
PARTS = {
    "data grafting": "--use_data_graft",
    "full-scale decoder": "--use_full_scale",
    "self-distillation": "--use_spp_distillate",
    "depth hints": "--use_depth_hints",
}
# Options and seeds of each row.
ROWS = {
    "Monodepth2": (MONODEPTH2, (0, 1, 2)),
    "all four parts": ((*EPCDEPTH, *PARTS.values()), (0, 1, 2)),
    **{f"{name} alone": ((*EPCDEPTH, flag), (0,)) for name, flag in PARTS.items()},
}
METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1")
POLL = 0.5  # seconds


def main() -> None:
    """Trains what is not there, evaluates it, writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.stereo_street data/drive runs/comparison"
    )
    parser.add_argument("drive", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--cpu_seconds", type=float, default=300.0, help="of each training, its start included"
    )
    parser.add_argument("--backend", default="torch", choices=("torch", "paddle"))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, help="of every row; none: as many as the table has")
    arguments = parser.parse_args()
    drive, output = arguments.drive.resolve(), arguments.output.resolve()
    found: dict[str, list[dict[str, float]]] = {}
    for name in arguments.rows:
        options, seeds = ROWS[name]
        for seed in arguments.seeds or seeds:
            run = output / f"{arguments.backend}_{name.replace(' ', '_')}_{seed}"
            if not (run / "metrics.json").exists():
                command = [*options, *COMMON, "--seed", str(seed), "--backend", arguments.backend]
                train(run, drive, command, arguments.cpu_seconds)
                evaluate(run, drive, arguments.backend)
            content = json.loads((run / "metrics.json").read_text())
            (steps,) = (int(folder.name.partition("_")[2]) for folder in weights(run))
            found.setdefault(name, []).append(content["mean"] | {"steps": steps})
            (output / "table.md").write_text(table(found))
    print(table(found))


def weights(run: Path) -> list[Path]:
    """What a stopped run left."""
    return list((run / "models").glob("step_*"))


def train(run: Path, drive: Path, options: list[str], cpu_seconds: float) -> None:
    """Stops the training when its process has used so much time, on whichever cores."""
    data = ["--data_path", str(drive), "--split", str(drive / "splits")]
    place = ["--log_dir", str(run.parent), "--model_name", run.name]
    run.parent.mkdir(parents=True, exist_ok=True)
    with (run.parent / f"{run.name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "train.py", *options, *data, *place], cwd=ROOT, stdout=log, stderr=log
        )
        while process.poll() is None and used(process.pid) < cpu_seconds:
            time.sleep(POLL)
        process.send_signal(signal.SIGTERM)
        process.wait()
    if not weights(run):
        raise SystemExit(f"{run.name}: ended early, see {log.name}")


def used(process: int) -> float:
    """CPU seconds of a process, of all its threads; Linux alone tells."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def evaluate(run: Path, drive: Path, backend: str) -> None:
    """In metres: the cameras' distance is known."""
    options = [
        "--data_path",
        str(drive),
        "--eval_split",
        str(drive / "splits"),
        "--eval_stereo",
        "--crop",
        "garg",
    ]
    place = ["--load_weights_folder", str(weights(run)[0]), "--output", str(run / "metrics.json")]
    command = [sys.executable, "evaluate_depth.py", "--backend", backend, *options, *place]
    subprocess.run([*command, "--num_workers", "1"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Mean, and range where there are several seeds."""
    lines = ["| | seeds | steps | " + " | ".join(METRICS) + " |", "|---|---|---|" + "---|" * len(METRICS)]
    for name, runs in found.items():
        cells = []
        for metric in METRICS:
            values = [run[metric] for run in runs]
            spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{sum(values) / len(values):.3f}{spread}")
        steps = sorted({int(run["steps"]) for run in runs})
        shown = str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
        lines.append(f"| {name} | {len(runs)} | {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
