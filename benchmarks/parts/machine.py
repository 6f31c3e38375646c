"""What the other numbers were measured on, and whether float32 is float32 there."""

import importlib.metadata
import platform
import shutil
import subprocess

import torch

from benchmarks.setting import Setting, keep_float32, product_error, use_tf32
from core.cores import available_cores

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "scipy", "triton")
FIELDS = "name,driver_version,memory.total,power.limit,clocks.max.sm,ecc.mode.current"
FLOAT32_ERROR = 1e-5  # of a product; TF32 makes a hundred times as much


def measure(setting: Setting) -> None:
    """Names and versions, then one product with TF32 off and on."""
    report = setting.report
    report.value("system", platform.platform())
    report.value("processor", processor())
    report.value("cores", available_cores())
    report.value("python", platform.python_version())
    for name in PACKAGES:
        report.value(name, version(name))
    report.value("device", str(setting.device))
    if setting.on_gpu:
        describe_gpu(setting)
    else:
        report.note("no GPU here: a trial of the check itself, its speeds are ratios on a CPU")
    check_products(setting)


def describe_gpu(setting: Setting) -> None:
    """The GPU, as PyTorch and as the driver see it."""
    report, properties = setting.report, torch.cuda.get_device_properties(setting.device)
    report.value("gpu", properties.name)
    report.value("gpu memory GiB", properties.total_memory / 2**30)
    report.value("compute capability", f"{properties.major}.{properties.minor}")
    report.value("multiprocessors", properties.multi_processor_count)
    report.value("cuda", str(torch.version.cuda))
    report.value("cudnn", str(torch.backends.cudnn.version()))
    report.value(f"nvidia-smi ({FIELDS})", driver())


def check_products(setting: Setting) -> None:
    """Measures the error of a product, once in float32 and once in TF32."""
    keep_float32()
    error = product_error(setting.device)
    setting.report.value("relative error of a float32 product", error)
    use_tf32(True)
    setting.report.value("relative error of a TF32 product", product_error(setting.device))
    keep_float32()
    if error > FLOAT32_ERROR:
        setting.report.note("float32 products are rounded although TF32 is off: see NVIDIA_TF32_OVERRIDE")


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


def driver() -> str:
    """What nvidia-smi says of the GPUs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "not there"
    command = [program, f"--query-gpu={FIELDS}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no answer ({error})"
    return "; ".join((done.stdout or done.stderr).strip().splitlines())
