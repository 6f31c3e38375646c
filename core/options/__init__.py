"""Every option of the scripts, once: source of the command line, of YAML keys, `--help` and `options.yaml`.

Names and defaults are those that users of Monodepth2 know (`num_layers`, `frame_ids`, …); `core.options.parsing`
turns a class into a command line. Imports neither NumPy nor a framework: `--help` has to be instant.
"""

from core.options.base import (
    DATASETS,
    KITTI_BASELINE,
    MODEL_NAMES,
    NOMINAL_BASELINE,
    REPLACED,
    RESNET_LAYERS,
    option,
    require,
)
from core.options.evaluation import (
    MAKE3D,
    EvaluationOptions,
    ExportOptions,
    PoseEvaluationOptions,
    ReportOptions,
)
from core.options.prediction import PredictionOptions
from core.options.tools import MODEL_OPTIONS, ConversionOptions, OnnxOptions, ParityOptions, SplitOptions
from core.options.training import Monodepth2Options, Options

__all__ = [
    "DATASETS",
    "KITTI_BASELINE",
    "MAKE3D",
    "MODEL_NAMES",
    "MODEL_OPTIONS",
    "NOMINAL_BASELINE",
    "REPLACED",
    "RESNET_LAYERS",
    "ConversionOptions",
    "EvaluationOptions",
    "ExportOptions",
    "Monodepth2Options",
    "OnnxOptions",
    "Options",
    "ParityOptions",
    "PoseEvaluationOptions",
    "PredictionOptions",
    "ReportOptions",
    "SplitOptions",
    "option",
    "require",
]
