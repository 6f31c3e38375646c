"""The loader: images a second by number of threads, with a cache, and how many cores keep this GPU busy."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import Row
from benchmarks.frames import Repeated, make_frames, options_on
from benchmarks.results import Report
from benchmarks.setting import Setting
from core.cores import available_cores
from core.datasets.loader import batches
from core.options.methods.monodepth2 import Monodepth2Options

THREADS = {False: (1, 2, 4, 8, 16), True: (1, 2)}  # small or not
COUNT = {False: 48, True: 8}  # samples of a measurement, per thread, up to four threads
ROUNDS = {False: 2, True: 1}
CACHED = 1000  # more images than there are
PRECISIONS = ("float32", "TF32", "bf16", "float16")


def measure(setting: Setting) -> None:
    """From JPEG files of KITTI's size to samples of three frames; an image is a target with its sources."""
    options = options_on(make_frames(setting.output, setting.small), setting.small)
    report = setting.report
    report.value("cores", available_cores())
    one = rate(setting, options, 1)
    report.speed("images/s of 1 thread", one)
    for threads in THREADS[setting.small][1:]:
        found = rate(setting, options, threads)
        report.row(Row.of_rates(f"loading by {threads} threads, beside 1", one, found, "images/s"))
    cached = rate(setting, replace(options, cache_images=CACHED), 1, warm=True)
    report.row(Row.of_rates("loading by 1 thread from a warm cache, beside files", one, cached, "images/s"))
    cores_for_the_gpu(setting, {"files": one, "a warm cache": cached})


def rate(setting: Setting, options: Monodepth2Options, threads: int, warm: bool = False) -> float:
    """Samples a second."""
    count = COUNT[setting.small] * min(threads, 4)
    samples = Repeated(options, count)
    if warm:
        go_through(samples, options, threads)
    times = [
        setting.seconds(lambda: go_through(samples, options, threads)) for _ in range(ROUNDS[setting.small])
    ]
    return count / median(times)


def go_through(samples: Repeated, options: Monodepth2Options, threads: int) -> None:
    """Loads an epoch."""
    seed, size = options.seed, options.batch_size
    source = batches(samples, 0, size, shuffle=True, seed=seed, num_workers=threads, drop_last=True)
    with closing(source):
        for _ in source:
            pass


def cores_for_the_gpu(setting: Setting, rates: dict[str, float]) -> None:
    """The cores that load as fast as the GPU trains, by the speeds that the part `step` found."""
    path: Path = setting.output / "step.json"
    values = Report.read(path).values if path.is_file() else {}
    speeds = {name: values[f"images/s {name}"] for name in PRECISIONS if f"images/s {name}" in values}
    if not speeds:
        setting.report.note("how many cores keep a GPU busy: needs the speeds of the part `step` on a GPU")
    for name, speed in speeds.items():
        for source, one in rates.items():
            setting.report.value(f"cores that keep this GPU busy in {name}, from {source}", speed / one)
