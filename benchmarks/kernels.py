"""Which kernels take the time of a job, by PyTorch's profiler."""

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

from benchmarks.setting import Setting

SLOWEST = 5
LONGEST_NAME = 90


def describe(setting: Setting, job: Callable[[], object]) -> None:
    """The slowest kernels of a job, and the share of those that compute in float64. On a CPU: operators."""
    times = kernel_times(setting, job)
    total = sum(times.values()) or 1.0
    slowest = sorted(times.items(), key=lambda pair: -pair[1])[:SLOWEST]
    for number, (name, seconds) in enumerate(slowest, start=1):
        text = f"{seconds / total:.1%} {name[:LONGEST_NAME]}"
        setting.report.value(f"kernel {number} of a float32 step", text)
    if setting.on_gpu:
        double = sum(seconds for name, seconds in times.items() if is_float64(name))
        setting.report.value("share of float64 kernels in a float32 step", double / total)


def kernel_times(setting: Setting, job: Callable[[], object]) -> dict[str, float]:
    """Time on the device by kernel; on a CPU that of operators, without those that they call."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setting.on_gpu else [])]
    with profile(activities=activities) as found:
        job()
        setting.synchronise()
    times: dict[str, float] = {}
    for event in found.events():
        if not setting.on_gpu:
            time = event.self_cpu_time_total
        elif "CUDA" in str(event.device_type) and not event.is_user_annotation:
            time = event.time_range.elapsed_us()
        else:  # what began a kernel, or a name around several, whose time would count twice
            continue
        times[event.name] = times.get(event.name, 0.0) + time
    return times


def is_float64(kernel: str) -> bool:
    """Whether a kernel's name says so: a template's argument, or a routine of the matrix library."""
    return "double" in kernel or "dgemm" in kernel.lower() or "_f64" in kernel.lower()
