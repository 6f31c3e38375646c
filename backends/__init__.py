"""The two implementations, and the one place that chooses between them."""

import importlib
import importlib.util
import os
from types import ModuleType
from typing import Any

from core.cores import available_cores
from core.errors import UserError
from core.faults import forgotten_environment
from core.options import EvaluationOptions, PredictionOptions
from core.options.choices import choices

BACKENDS = {"torch": "PyTorch", "paddle": "PaddlePaddle"}
PACKAGES = {"torch": "torch", "paddle": "paddlepaddle"}


def installed_backends() -> list[str]:
    """The backends whose framework can be imported here; imports none."""
    return [name for name in BACKENDS if importlib.util.find_spec(name) is not None]


def require_installed(name: str) -> None:
    """Makes sure that a backend can be loaded; imports none.

    Raises:
        UserError: the backend is unknown or its framework is not installed.
    """
    if name not in BACKENDS:
        raise UserError(f"--backend {name}: choose one of {', '.join(BACKENDS)}")
    if name not in installed_backends():
        cure = forgotten_environment() or f"pip install {PACKAGES[name]}"
        raise UserError(f"--backend {name}: {BACKENDS[name]} is not installed; {cure}")


def load_backend(name: str, module: str) -> ModuleType:
    """Imports a module of one backend, the only one of this process: `load_backend("torch", "trainer").Trainer`.

    Raises:
        UserError: the backend is unknown or its framework is not installed.
    """
    require_installed(name)
    # Importing paddle sets this to 1 when it is unset, and reads it only then.
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    # NVIDIA's libraries would round the factors of float32 products to 10 bits; 1 gives that, and its speed.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    return importlib.import_module(f"backends.{name}.{module}")


def load_predictor(options: EvaluationOptions | PredictionOptions) -> Any:
    """The `Predictor` of the weights folder, backend and device that the options of a script name.

    Raises:
        UserError: the framework is not installed, or the folder does not hold a model.
    """
    preferred = options.network if isinstance(options, EvaluationOptions) else {}
    sizes = {"height": options.height, "width": options.width}
    return load_backend(options.backend, "predictor").Predictor(
        options.load_weights_folder,
        options.device,
        untold={name: value for name, value in sizes.items() if name not in preferred},
        preferred=preferred,
        precision=options.precision,
        num_layers=options.num_layers,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        **choices(options),
    )
