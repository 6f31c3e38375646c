"""Whether another checkout and this one compute the same, bit for bit: what decides when something shared is rebuilt.

    git worktree add ../before HEAD~3
    .venv/bin/python -m tests.slow.digests ../before                       both backends, minutes
    .venv/bin/python -m tests.slow.digests ../before --backends torch      one of them
    .venv/bin/python -m tests.slow.digests ../before --save before.json    ... and keep those of the other checkout
    .venv/bin/python -m tests.slow.digests before.json                     against those, on the same machine

Runs the scripts of both on the same data, on this machine, with one thread, and compares SHA-256 of the samples (5
epochs), exported ground truth, metrics of saved predictions and trajectories, the report, and, of trainings with each
backend: the loss of every step, Adam's moments (that is the gradients), weights, validations, a resumed run,
predictions, metrics, converted weights and the numbers of the parity certificate. Exit code 1: something differs; it
says what.

Not compared, because they name options, times or paths and may change with every version: `options.yaml`, `run.json`,
`checkpoint.json` except its validation, the texts of descriptions and messages.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = ROOT.parent / "shared" / "data"
KITTI_02 = "2011_10_03/2011_10_03_drive_0034_sync"
HEIGHT, WIDTH = 64, 128
EPOCHS, SAMPLES = 5, 20
MONO, STEREO = ["--frame_ids", "0", "-1", "1"], ["--frame_ids", "0", "--use_stereo"]
BOTH = [*MONO, "--use_stereo"]
# What is trained, by name: the data, and options. All kinds of losses, of pose networks and of data sets.
TRAININGS = {
    "mono": ("rendered", MONO),
    "stereo": ("rendered", [*STEREO, "--disable_automasking", "--no_mirroring"]),
    "shared": ("rendered", [*BOTH, "--pose_model_type", "shared", "--avg_reprojection"]),
    "posecnn": ("rendered", [*MONO, "--pose_model_type", "posecnn", "--v1_multiscale"]),
    "joint": (
        "annotated",
        [*MONO, "--pose_model_input", "all", "--predictive_mask", "--disable_automasking"],
    ),
    "known_poses": ("rendered", [*BOTH, "--known_poses", "--no_ssim", "--accumulate_steps", "2"]),
    "folder": ("folder", [*BOTH, "--scales", "0", "2", "--warp_align_corners_false"]),
    "odometry": ("odometry", BOTH),
}


# What changed on purpose, and since which file: in a checkout that lacks it, it is as it was before.
CHANGED = {
    **dict.fromkeys(
        ("metrics/", "csv/"),
        ("core/files/existing.py", "one logarithm in place of two: the last bits of rmse_log and log10"),
    ),
    "parity/mono/loss terms/": (
        "core/options/needs.py",
        "in evaluation mode nothing is drawn: the certificate's loss has no noise of the auto-mask there any more",
    ),
    "odometry/printed": (
        "core/odometry/part.py",
        "says which frames were compared, the path's length, scales and ways; its numbers are the same",
    ),
    "report/report.md": (
        "core/plausibility/lists.py",
        "says what was found in the data, and how many pixels counted; its numbers are the same",
    ),
}


def digest(*parts: Any) -> str:
    """SHA-256 of arrays (with type and shape), bytes, and of anything else by its text."""
    content = hashlib.sha256()
    for part in parts:
        if hasattr(part, "dtype"):
            content.update(f"{part.dtype.str} {part.shape} ".encode())
            part = part.tobytes()
        content.update(part if isinstance(part, bytes) else f"{part} ".encode())
    return content.hexdigest()


def digest_arrays(arrays: dict[str, Any]) -> str:
    """Of named arrays, whatever their order."""
    return digest(*(part for name in sorted(arrays) for part in (name, arrays[name])))


def quietly(main: Any, *arguments: object) -> str:
    """Runs a script's main function; returns what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        main([str(word) for word in arguments])
    return printed.getvalue()


# --- the data, once for both ---


def make_data(folder: Path) -> None:
    """A rendered drive, its frames as a user's own folder, made-up annotated depth, and lists for all of it."""
    import numpy as np
    from PIL import Image

    import render_drive

    size = ["--height", HEIGHT, "--width", WIDTH, "--samples", 1, "--azimuths", 100, "--workers", 1]
    lengths = ["--train_drives", 1, "--val_drives", 0, "--frames", 6, "--test_frames", 5]
    drive = folder / "rendered"
    quietly(render_drive.main, "--output", drive, *size, *lengths)
    splits = drive / "splits"
    shutil.copy(splits / "test_files.txt", splits / "val_files.txt")
    for number, line in enumerate((splits / "test_files.txt").read_text().splitlines()):
        name, frame, side = line.split()
        pixels = np.random.default_rng(number).integers(0, 20000, (HEIGHT, WIDTH)).astype(np.uint16)
        camera = {"l": "image_02", "r": "image_03"}[side]
        target = drive / name / "proj_depth" / "groundtruth" / camera / f"{int(frame):010d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(pixels < 10000, 0, pixels).astype(np.uint16)).save(target)
    own = folder / "folder"
    own_lists = own / "splits"
    own_lists.mkdir(parents=True)
    for part in ("train", "val"):
        lines = (splits / f"{part}_files.txt").read_text().splitlines()
        for name in {line.split()[0] for line in lines}:
            for camera, side in (("image_02", "left"), ("image_03", "right")):
                shutil.copytree(
                    drive / name / camera / "data", own / Path(name).name / side, dirs_exist_ok=True
                )
        renamed = [f"{Path(line.split()[0]).name} {' '.join(line.split()[1:])}" for line in lines]
        (own_lists / f"{part}_files.txt").write_text("\n".join(renamed) + "\n")
    camera = {"fx": 75, "fy": 123, "cx": 63, "cy": 32, "width": WIDTH, "height": HEIGHT, "baseline": 0.3}
    (own / "intrinsics.yaml").write_text("".join(f"{name}: {value}\n" for name, value in camera.items()))
    for name, drive_name in (("odometry", "2"), ("raw", KITTI_02)):
        lists = folder / f"{name}_lists"
        lists.mkdir()
        for part, frames in (("train", range(1, 5)), ("val", range(5, 8)), ("test", range(5, 8))):
            lines = [f"{drive_name} {frame} {side}\n" for frame in frames for side in "lr"]
            (lists / f"{part}_files.txt").write_text("".join(lines))


def where(data: Path, name: str) -> list[str] | None:
    """The options that name a data set; None where its real samples are not there."""
    real = SHARED / "kitti_stereo_02"
    words: dict[str, list[object]] = {
        "rendered": [data / "rendered", "--split", data / "rendered" / "splits"],
        "annotated": [data / "rendered", "--split", data / "rendered" / "splits", "--dataset", "kitti_depth"],
        "folder": [data / "folder", "--split", data / "folder" / "splits", "--dataset", "folder"],
        "odometry": [
            real / "odometry",
            "--split",
            data / "odometry_lists",
            "--dataset",
            "kitti_odom",
            "--png",
        ],
        "raw": [real / "raw", "--split", data / "raw_lists", "--png"],
    }
    if name in ("odometry", "raw") and not real.is_dir():
        return None
    return ["--data_path", *map(str, words[name])]


# --- what is compared, in a process of the checkout ---


def without_a_framework(data: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Samples, ground truth, metrics of saved predictions and trajectories, the report."""
    import numpy as np

    import evaluate_depth
    import evaluate_pose
    import export_gt_depth
    import report_depth
    from core.datasets.ground_truth import load_ground_truth

    yield from sample_digests(data)
    drive = data / "rendered"
    lists = drive / "splits"
    exported = {part: folder / f"{part}.npz" for part in ("test", "train")}
    for source in ("velodyne", "annotated"):
        path = folder / f"{source}.npz"
        words = ["--data_path", drive, "--split", lists, "--source", source, "--output", path]
        quietly(export_gt_depth.main, *words)
        maps = load_ground_truth(path)  # the file may be of another version
        yield (
            f"truth/{source}",
            digest(*(part for m in maps for part in (m.shape, m.line, m.index, m.values))),
        )
        exported["test"] = path if source == "velodyne" else exported["test"]
    images = len((lists / "test_files.txt").read_text().splitlines())
    disparities = np.random.default_rng(0).uniform(0.01, 0.9, (images, 20, 40)).astype(np.float32)
    np.save(folder / "disparities.npy", disparities)
    for crop in ("garg", "eigen", "none"):
        for scaling in ("--eval_mono", "--eval_stereo"):
            words = ["--data_path", drive, "--eval_split", lists, "--crop", crop, scaling]
            words += ["--ext_disp_to_eval", folder / "disparities.npy", "--ground_truth", exported["test"]]
            quietly(evaluate_depth.main, *words, "--output", folder / "m.json", "--csv", folder / "m.csv")
            yield f"metrics/{crop}{scaling}", digest(*metric_numbers(folder / "m.json"))
            yield f"csv/{crop}{scaling}", digest((folder / "m.csv").read_bytes())
    poses = SHARED / "kitti_odometry_poses"
    if poses.is_dir():
        words = ["--trajectory", poses / "results" / "example_1" / "09.txt"]
        words += ["--ground_truth", poses / "poses" / "09.txt", "--output", folder / "poses"]
        printed = quietly(evaluate_pose.main, *words)
        yield "odometry/printed", digest(*(line for line in printed.splitlines() if str(folder) not in line))
    shutil.copy(exported["test"], lists / "gt_depths.npz")
    words = ["--data_path", drive, "--split", lists, "--disparities", folder / "disparities.npy", "--rows", 2]
    words += ["--metrics", f"made up={folder / 'm.json'}", "--output", folder / "report"]
    quietly(report_depth.main, *words)
    for path in sorted((folder / "report").iterdir()):
        yield f"report/{path.name}", digest(path.read_bytes().replace(bytes(data), b""))


def sample_digests(data: Path) -> Iterator[tuple[str, str]]:
    """Of all data sets; `depth`, which only logs need, shows in the validations of the trainings."""
    from core.datasets import open_dataset

    for name, words in SAMPLE_OPTIONS.items():
        place = where(data, name.partition(" ")[0])
        if place is None:
            continue
        options = parse_training([*place, *words, "--height", "64", "--width", "128", "--batch_size", "1"])
        for part in ("train", "val"):
            dataset = open_dataset(options, part)
            dataset = dataset[0] if isinstance(dataset, tuple) else dataset
            for epoch in range(EPOCHS):
                for index in range(min(SAMPLES, len(dataset))):
                    sample = dict(dataset[(epoch, index)])
                    for key in ("depth", "truth"):
                        sample.pop(key, None)
                    yield f"samples/{name}/{part}/{epoch}/{index}", digest_arrays(sample)


SAMPLE_OPTIONS = {
    "rendered": [*BOTH, "--seed", "3"],
    "rendered known": [*BOTH, "--known_poses"],
    "annotated": [*MONO, "--v1_multiscale"],
    "folder": [*BOTH, "--no_mirroring"],
    "odometry": [*BOTH],
    "odometry known": [*MONO, "--known_poses"],
    "raw": [*BOTH, "--scales", "0", "3"],
}


def parse_training(words: list[str]) -> Any:
    """The options of train.py, in whichever way a checkout parses them."""
    import train

    if hasattr(train, "parse_options"):
        return train.parse_options(words)
    from core.options.methods.monodepth2 import Monodepth2Options

    if importlib.util.find_spec("core.options.needs"):
        return importlib.import_module("core.options.parsing").parse_method(words)
    place = "core.parsing" if importlib.util.find_spec("core.parsing") else "core.options.parsing"
    return importlib.import_module(place).parse(Monodepth2Options, words)


def metric_numbers(path: Path) -> list[Any]:
    """The numbers of evaluate_depth.py's JSON."""
    content = json.loads(path.read_text())
    names = ("images", "mean", "scale_ratio", "names", "per_image", "valid_pixels", "scale_ratios")
    return [content[name] for name in names]


def with_backend(backend: str, data: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Trainings and what follows from their weights."""
    import numpy as np
    from PIL import Image

    import convert_weights
    import evaluate_depth
    import predict
    import train

    runs = folder / "runs"
    size = ["--height", HEIGHT, "--width", WIDTH, "--batch_size", 4, "--weights_init", "scratch"]
    rest = [
        "--device",
        "cpu",
        "--num_workers",
        1,
        "--log_frequency",
        1,
        "--log_dir",
        runs,
        "--backend",
        backend,
    ]
    for name, (place, words) in TRAININGS.items():
        at = where(data, place)
        if at is None:
            continue
        one = [*at, *words, *size, *rest, "--model_name", name]
        quietly(train.main, *one, "--num_epochs", 1)
        yield from run_digests(runs / name, f"{name} one epoch")
        quietly(train.main, *one, "--num_epochs", 2, "--resume")
        yield from run_digests(runs / name, f"{name} resumed")
    start = ["--load_weights_folder", runs / "mono" / "models" / "weights_1", "--model_name", "tuned"]
    place = where(data, "rendered") or []
    quietly(train.main, *place, *STEREO, *size, *rest, *start, "--num_epochs", 1, "--scheduler_step_size", 1)
    yield from run_digests(runs / "tuned", "fine-tuned")
    drive = data / "rendered"
    image = next(drive.rglob("image_02/data/*.jpg"))
    for name in ("mono", "stereo", "tuned"):
        weights = next(path for path in (runs / name / "models").glob("weights_[0-9]*"))
        lists = ["--data_path", drive, "--eval_split", drive / "splits", "--ground_truth", folder / "gt.npz"]
        for scaling in ("--eval_mono", "--eval_stereo"):
            words = [
                *lists,
                scaling,
                "--post_process",
                "--load_weights_folder",
                weights,
                "--backend",
                backend,
            ]
            quietly(evaluate_depth.main, *words, "--device", "cpu", "--output", folder / "m.json")
            yield f"{name}/metrics{scaling}", digest(*metric_numbers(folder / "m.json"))
        words = ["--image_path", image, "--load_weights_folder", weights, "--output", folder / name]
        quietly(predict.main, *words, "--backend", backend, "--device", "cpu", "--save", "disparity", "png")
        for path in sorted((folder / name).glob("*.npy")):
            yield f"{name}/predicted/{path.name}", digest(np.load(path))
        for path in sorted((folder / name).glob("*.png")):
            yield f"{name}/predicted/{path.name}", digest(np.asarray(Image.open(path)))
        quietly(
            convert_weights.main, weights, "--to", "safetensors", "--output", folder / f"{name}_converted"
        )
        for path in sorted((folder / f"{name}_converted").glob("*.safetensors")):
            yield f"{name}/converted/{path.name}", digest(path.read_bytes())


def run_digests(run: Path, name: str) -> Iterator[tuple[str, str]]:
    """Everything a run wrote: losses, validations, weights, moments."""
    from core.weights import read_weights_file

    for line in (run / "scalars.jsonl").read_text().splitlines():
        entry = json.loads(line)
        yield f"{name}/{entry['part']} {entry['step']}", digest_values(entry["values"])
    for path in sorted((run / "models").rglob("*")):
        label = f"{name}/{path.relative_to(run / 'models')}"
        if path.suffix in (".pth", ".pdparams", ".safetensors"):
            yield label, digest_arrays(read_weights_file(path))
        elif path.name == "checkpoint.json":
            yield label, digest_values(json.loads(path.read_text())["values"])


def digest_values(values: dict[str, Any]) -> str:
    """Of a log's numbers, without how many pixels they are of, which older checkouts do not say."""
    kept = {name: value for name, value in values.items() if not name.startswith("truth/")}
    return digest(json.dumps(kept, sort_keys=True))


def of_parity(folder: Path) -> Iterator[tuple[str, str]]:
    """The numbers of the certificate, and the digests of what it was measured on."""
    import check_parity

    for name, words in {"mono": MONO, "both": [*BOTH, "--predictive_mask", "--disable_automasking"]}.items():
        quietly(check_parity.main, *words, "--steps", 3, "--output", folder / f"{name}.json")
        content = json.loads((folder / f"{name}.json").read_text())
        for key in ("sha256_of_inputs", "sha256_of_weights"):
            yield f"parity/{name}/{key}", digest(json.dumps(content[key], sort_keys=True))
        for check in content["checks"]:
            label = f"parity/{name}/{check['title']}/{check['precision']}"
            yield label, digest(json.dumps(check["items"], sort_keys=True))


# --- both checkouts ---


def child(checkout: Path, part: str, data: Path, folder: Path) -> None:
    """Computes one part of a checkout's digests, `<folder>/digests.json`."""
    sys.path[0] = str(checkout)
    if part == "core":
        found = dict(without_a_framework(data, folder))
    elif part == "parity":
        found = dict(of_parity(folder))
    else:
        found = dict(with_backend(part, data, folder))
    (folder / "digests.json").write_text(json.dumps(found))


def digests_of(checkouts: list[Path], part: str, data: Path, folder: Path) -> list[dict[str, str]]:
    """The digests of a part, for each checkout; they run at the same time, on a copy of the data each."""
    processes = []
    for number, checkout in enumerate(checkouts):
        place = folder / f"{part}_{number}"
        place.mkdir()
        shutil.copytree(data, place / "data", symlinks=True)
        truth = folder / f"core_{len(checkouts) - 1}" / "velodyne.npz"  # of the older one, which both read
        if truth.is_file():
            shutil.copy(truth, place / "gt.npz")
        command = [sys.executable, __file__, "--child", checkout, part, place / "data", place]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": "", "PYTHONHASHSEED": "0"}
        processes.append(subprocess.Popen(list(map(str, command)), cwd=checkout, env=environment))
    if any(process.wait() for process in processes):
        sys.exit(f"{part}: a checkout failed; see above")
    places = [folder / f"{part}_{number}" for number in range(len(checkouts))]
    return [json.loads((place / "digests.json").read_text()) for place in places]


def compare(part: str, old: dict[str, str], new: dict[str, str], meant: dict[str, str]) -> int:
    """Prints what differs, and a sum; returns the number of differences that are not meant."""
    different = 0
    for key in (key for key in {**old, **new} if old.get(key) != new.get(key)):
        reason = next((why for start, why in meant.items() if key.startswith(start)), None)
        different += reason is None
        side = "differs" if key in old and key in new else "only before" if key in old else "only now"
        print(f"{part}: {key}: {side}" + (f", as it must: {reason}" if reason else ""))
    print(f"{part}: {len(old)} digests before, {len(new)} now, {different} different", flush=True)
    return different


def main() -> int:
    """Compares; prints what differs, and a sum for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path, help="the other checkout, or what --save kept of it")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.json", help="keep the digests of the other checkout"
    )
    parser.add_argument("--backends", nargs="+", default=["torch", "paddle"])
    options = parser.parse_args()
    parts = ["core", *options.backends] + (["parity"] if len(options.backends) == 2 else [])
    kept: dict[str, dict[str, str]] = json.loads(options.old.read_text()) if options.old.is_file() else {}
    checkouts = [ROOT] if kept else [ROOT, options.old.resolve()]
    meant: dict[str, str] = kept.pop("changed on purpose", {})
    if options.old.is_dir():
        meant = {key: why for key, (file, why) in CHANGED.items() if not (options.old / file).is_file()}
    different = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder / "data")
        for part in parts:
            new, *others = digests_of(checkouts, part, folder / "data", folder)
            old = others[0] if others else kept[part]
            kept[part] = old
            different += compare(part, old, new, meant)
    if options.save:
        options.save.write_text(json.dumps({**kept, "changed on purpose": meant}, indent=1))
    print("all equal, bit for bit" if different == 0 else f"{different} differ")
    return int(different > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(main())
