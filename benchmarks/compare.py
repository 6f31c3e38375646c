"""One table of all methods: each trained from scratch for the same processor seconds on the same rendered street.

    bash configs/compare.sh METHOD        renders the street where it is not there, and makes one row
    python -m benchmarks.compare          prints the table of the rows in configs/compare
    python -m benchmarks.compare --update writes it into configs/README.md, and those of variants into their READMEs

A row trains with the learning settings of the method's own demo, at one size for all, without a plan for the end of the
run: no rate falls unless the demo says when. Stages before the last (hints, an autoencoder) spend of the same seconds.
"""

import importlib
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from core.errors import UserError, run
from core.options.base import option, require
from core.options.parsing import load_method_options, parse

ROOT = Path(__file__).resolve().parent.parent
ROWS_FOLDER = ROOT / "configs" / "compare"
SECONDS = 480.0
SIZE = ("--height", "64", "--width", "192")
MANY_EPOCHS = 1000  # the seconds end a run, not its epochs
AUTOENCODER_SHARE = 0.25  # of the seconds, before depth
# What a state holds beside parameters, by the ends of names, and ImageNet's classes, which no depth goes through.
NOT_PARAMETERS = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "_mean",
    "_variance",
    "fc.weight",
    "fc.bias",
)

Words = Sequence[object]
Execute = Callable[[str, Words], float]


@dataclass(frozen=True)
class Recipe:
    """How a row is trained.

    Attributes:
        config: its options, from the project's root; empty: `configs/<row>/demo.yml`.
        words: further options of train.py, those that the script of the demo adds.
        hints: whether depth hints are made first.
        autoencoder: options of a first training whose features the second one compares; () for none.
    """

    config: str = ""
    words: tuple[str, ...] = ()
    hints: bool = False
    autoencoder: tuple[str, ...] = ()


# Rows that are more than `configs/<method>/demo.yml`; those that no method has the name of are variants.
RECIPES: dict[str, Recipe] = {
    "monodepth2": Recipe("configs/monodepthv2/demo.yml", ("--disable_automasking",)),
    "monodepth2_video": Recipe(
        "configs/monodepthv2/demo.yml", ("--frame_ids", "0", "-1", "1", "--no_use_stereo")
    ),
    "epcdepth": Recipe(hints=True),
    "packnet_video": Recipe("configs/packnet/demo.yml", ("--supervision", "none")),
    "packnet_semi": Recipe("configs/packnet/demo.yml", ("--supervision", "semi")),
    "featdepth": Recipe(autoencoder=("--model", "autoencoder", "--height", "96", "--width", "288")),
    "featdepth_joint": Recipe(
        "configs/featdepth/demo.yml", ("--model", "mono_fm_joint", "--height", "96", "--width", "288")
    ),
    "featdepth_baseline": Recipe("configs/featdepth/demo.yml", ("--model", "baseline")),
}


@dataclass
class CompareOptions:
    """One row, or the table."""

    EXAMPLE: ClassVar[str] = "-m benchmarks.compare --update"

    row: str = option("", "a method, or a variant of one; none: the table of what is there", positional=True)
    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    seed: int = option(0, "of weights, order and augmentation")
    data_path: str = option("data/drive", "the rendered street", path=True)
    log_dir: str = option("runs", "folder for the runs", path=True)
    output: str = option(str(ROWS_FOLDER), "folder of the rows", path=True)
    seconds: float = option(SECONDS, "processor seconds for all stages together")
    language: str = option("en", "of the printed table", choices=("en", "zh"))
    update: bool = option(
        False, "write the tables into configs/README.md, those of variants beside them, and README.zh-CN.md"
    )

    def validate(self) -> None:
        """Raises `UserError` for a row that there is no recipe of."""
        require(self.seconds > 0, f"option seconds: {self.seconds} must be above 0")
        require(not self.row or self.row in rows(), f"no row {self.row!r}; there are: {', '.join(rows())}")


def rows() -> list[str]:
    """All methods, and variants."""
    from core.options.methods import OPTIONS

    return [*OPTIONS, *(name for name in RECIPES if name not in OPTIONS)]


def main(argv: list[str] | None = None) -> None:
    """Makes a row, or prints the table."""
    options = parse(CompareOptions, argv, (__doc__ or "").splitlines()[0])
    from benchmarks import compare_table

    if options.row:
        print(make_row(options))
        return
    found = compare_table.read_rows(Path(options.output))
    if options.update:
        for path in compare_table.update(found, ROOT / "configs"):
            print(path)
    else:
        print(compare_table.markdown(found, options.language))


def execute(script: str, words: Words) -> float:
    """Runs a script of the project; returns the processor seconds of it and of all that it starts.

    Raises:
        UserError: it failed; its own message stands above.
    """
    before = _children()
    done = subprocess.run([sys.executable, str(ROOT / script), *map(str, words)], check=False)
    if done.returncode != 0:
        raise UserError(
            f"{script} ended with code {done.returncode}, see its message above; no row was written"
        )
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class Training:
    """The stages of a row, one after another.

    Attributes:
        seconds: what each stage took, by name.
        steps: what each training has done, by name.
    """

    options: CompareOptions
    recipe: Recipe
    execute: Execute
    seconds: dict[str, float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """That of the row's file, and of its run."""
        return f"{self.options.row}_{self.options.backend}_{self.options.seed}"

    @property
    def config(self) -> str:
        """The demo, from the project's root."""
        return self.recipe.config or f"configs/{self.options.row}/demo.yml"

    @property
    def split(self) -> Path:
        """The lists of the street."""
        return Path(self.options.data_path) / "splits"

    def run(self) -> Path:
        """Does all stages; returns the folder of the last weights."""
        more = list(self.recipe.words)
        if self.recipe.hints:
            more += ["--depth_hints", str(self._hints())]
        if self.recipe.autoencoder:
            first = self._train(
                "autoencoder", self.recipe.autoencoder, AUTOENCODER_SHARE * self.options.seconds
            )
            more += ["--extractor", str(first)]
        return self._train("depth", more, self.options.seconds - sum(self.seconds.values()))

    def _hints(self) -> Path:
        folder = Path(self.options.log_dir) / f"compare_{self.name}_hints"
        where = ["--data_path", self.options.data_path, "--split", self.split, "--save_path", folder]
        words = [*where, "--height", 128, "--width", 416, "--num_workers", 1, "--overwrite"]
        self.seconds["hints"] = self.execute("precompute_depth_hints.py", words)
        return folder

    def _train(self, stage: str, more: Words, seconds: float) -> Path:
        require(
            seconds > 0,
            f"option seconds: {self.options.seconds:g} are used up before {stage} is trained; give more",
        )
        name = f"compare_{self.name}_{stage}"
        folder = Path(self.options.log_dir) / name
        require(not folder.exists(), f"{folder}: is there already; remove it, or give another LOG_DIR")
        config = self.config
        require(
            (ROOT / config).is_file(), f"{config}: no such demo, which a row of the comparison is trained by"
        )
        where = [
            "--data_path",
            self.options.data_path,
            "--split",
            self.split,
            "--log_dir",
            self.options.log_dir,
        ]
        length = ["--num_epochs", MANY_EPOCHS, "--max_cpu_seconds", seconds, "--no_validation"]
        words = ["--backend", self.options.backend, "--config", ROOT / config, *SIZE, *where, *length]
        words += ["--seed", self.options.seed, "--device", "cpu", "--model_name", name]
        self.seconds[stage] = self.execute("train.py", [*words, *more])
        weights, self.steps[stage] = last_weights(folder)
        return weights


def last_weights(run_folder: Path) -> tuple[Path, int]:
    """The newest weights of a run, and the step they are of."""
    from core.training.resume import RECORD_FILE, Checkpoint

    found = [Checkpoint.read(path.parent)[0] for path in (run_folder / "models").glob(f"*/{RECORD_FILE}")]
    require(bool(found), f"{run_folder}: holds no weights; the training has written none")
    newest = max(found, key=lambda checkpoint: checkpoint.step)
    return newest.folder, newest.step


def make_row(options: CompareOptions, execute: Execute = execute) -> Path:
    """Trains, evaluates, and writes `<output>/<row>_<backend>_<seed>.json`, which it returns.

    Args:
        execute: runs a script with words and returns its processor seconds.
    """
    from core.files.arrays import write_json

    training = Training(options, RECIPES.get(options.row, Recipe()), execute)
    path = Path(options.output) / f"{training.name}.json"
    require(not path.exists(), f"{path}: that row is there already; remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)  # what cannot be written should not cost its seconds
    made_by = commit()  # before somebody changes it
    weights = training.run()
    trained = load_method_options(weights / "options.yaml")
    content = {
        **{"row": options.row, "method": trained.method, "backend": options.backend, "seed": options.seed},
        **{"allowed_seconds": options.seconds, "seconds": training.seconds, "steps": training.steps},
        **{"batch_size": trained.batch_size, "height": trained.height, "width": trained.width},
        **{"needs": needed(trained), "metric": trained.is_metric, "machine": machine(options.backend)},
        "commit": made_by,
        "recipe": [training.config, *SIZE, *training.recipe.words],
        "parameters": parameters(options.backend, trained),
        **evaluated(training, weights, trained.is_metric),
    }
    write_json(path, content, "\n")
    return path


def needed(trained: Any) -> list[str]:
    """What a method's samples hold beside single images, in words."""
    needs = trained.needs("train")
    found = {
        "video": any(frame not in (0, "s") for frame in needs.frames),
        "stereo": "s" in needs.frames,
        "speed": needs.motion,
        "sparse depth": needs.depth,
        "hints": bool(needs.extras),
    }
    return [name for name, there in found.items() if there]


def machine(backend: str) -> dict[str, Any]:
    """Processor, cores, threads, packages; nothing that names a host."""
    from core.cores import available_cores

    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    package = "torch" if backend == "torch" else "paddlepaddle"
    return {
        **{"processor": processor, "cores": available_cores(), "threads": _threads()},
        **{"python": platform.python_version(), package: version(package)},
    }


def commit() -> str | None:
    """The commit that a row is made by, `+` behind it where code differs from it; None where no git knows."""

    def said(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        if Path(said("rev-parse", "--show-toplevel")) != ROOT:  # a copy of the project in another one
            return None
        changed = said("status", "--porcelain", "--untracked-files=no", "--", ":!*.md", ":!configs/compare")
        return said("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _threads() -> int:
    words = os.environ.get("OMP_NUM_THREADS", "")
    require(
        words.isdigit(),
        "OMP_NUM_THREADS is not set: a row says with how many threads it was made; set it to 1",
    )
    return int(words)


def parameters(backend: str, trained: Any) -> dict[str, int]:
    """Numbers that are learnt: of the networks that predict depth, and of all that are trained with them."""
    method = importlib.import_module(f"backends.{backend}.methods").make_method(trained)
    counts = {
        name: sum(
            prod(tensor.shape)
            for key, tensor in network.state_dict().items()
            if not key.endswith(NOT_PARAMETERS)
        )
        for name, network in method.networks().items()
    }
    return {"depth": sum(counts[name] for name in method.depth_networks), "all": sum(counts.values())}


def evaluated(training: Training, weights: Path, metric: bool) -> dict[str, Any]:
    """Metrics by medians, and in metres where the unit is known; the yardsticks, measured alike."""
    from core.evaluation.comparison import Scaling
    from core.options.protocols import Protocol

    output = weights.parent.parent / "metrics.json"
    words = [
        "--backend",
        training.options.backend,
        "--data_path",
        training.options.data_path,
        "--device",
        "cpu",
    ]
    words += [
        "--load_weights_folder",
        weights,
        "--eval_split",
        training.split,
        "--crop",
        "garg",
        "--variants",
    ]
    training.execute(
        "evaluate_depth.py", [*words, "--output", output, "--eval_stereo" if metric else "--eval_mono"]
    )
    found = json.loads(output.read_text(encoding="utf-8"))
    scaled, plain = found["variants"]["depth_gt"], found["variants"]["depth"]
    protocol = Protocol.from_json(found["protocol"])
    return {
        "images": found["images"],
        "metrics": scaled["mean"],
        "scale_ratio": scaled["scale_ratio"],
        "metrics_in_metres": plain["mean"] if metric else None,
        "yardsticks": street_yardsticks(training, protocol, Scaling(**scaled["scaling"])),
    }


def street_yardsticks(training: Training, protocol: Any, scaling: Any) -> dict[str, dict[str, float]]:
    """What is known of the street without looking at an image, by name."""
    from core.datasets.ground_truth import choose_source, ground_truth, ground_truth_name, load_ground_truth
    from core.datasets.splits import load_split
    from core.evaluation.report import yardsticks

    split, root, truth = str(training.split), Path(training.options.data_path), protocol.subject.truth
    lines, known = load_split(split, "test"), load_split(split, "train")
    measured = load_ground_truth(training.split / ground_truth_name(truth), lines)
    maps = ground_truth(root, known, truth or choose_source(root, split, known))
    found = yardsticks(list(maps), measured, protocol, scaling)
    return {name: dict(zip(one.names, one.mean.tolist(), strict=True)) for name, one in found.items()}


if __name__ == "__main__":
    run(main)
