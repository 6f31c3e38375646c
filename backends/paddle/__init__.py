"""The PaddlePaddle backend; `backends/torch` has the same files, names and defaults."""

import contextlib
import io
import os
import warnings
from pathlib import Path


def _is_amd_processor() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "AuthenticAMD" in cpuinfo.read_text(errors="replace")


# PaddlePaddle's matrix library takes its slowest path on processors of another make than its own, unless told
# before it is loaded that they know AVX2: training on a CPU is then two to three times as fast.
if _is_amd_processor():
    os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")

# PaddlePaddle greets with advice on compilers and threads that a user of this toolbox cannot act on.
with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")
    import paddle

# Its handlers answer an ordinary `kill` with a crash report.
paddle.disable_signal_handler()
