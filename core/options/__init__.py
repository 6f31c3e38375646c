"""Every option of the scripts, once: source of the command line, of YAML keys, `--help` and `options.yaml`.

Names and defaults are those that users of the published programs know (`num_layers`, `frame_ids`, …);
`core.options.parsing` turns a class into a command line. Imports neither NumPy nor a framework: `--help` has to be
instant.
"""

from core.options.base import (
    DATASETS,
    KITTI_BASELINE,
    NOMINAL_BASELINE,
    REPLACED,
    RESNET_LAYERS,
    option,
    require,
)
from core.options.cameras import CAMERAS, RayEvaluationOptions, RayOptions
from core.options.evaluation import (
    EvaluationOptions,
    ExportOptions,
    PoseEvaluationOptions,
    ReportOptions,
)
from core.options.hints import HintOptions
from core.options.methods import OPTIONS
from core.options.prediction import PredictionOptions
from core.options.protocols import MAKE3D
from core.options.tools import (
    CheckOptions,
    ConversionOptions,
    FrameIndexOptions,
    OnnxOptions,
    ParityOptions,
    SplitOptions,
    VisualizationOptions,
)
from core.options.training import Options

__all__ = [
    "CAMERAS",
    "DATASETS",
    "KITTI_BASELINE",
    "MAKE3D",
    "NOMINAL_BASELINE",
    "OPTIONS",
    "REPLACED",
    "RESNET_LAYERS",
    "CheckOptions",
    "ConversionOptions",
    "EvaluationOptions",
    "ExportOptions",
    "FrameIndexOptions",
    "HintOptions",
    "OnnxOptions",
    "Options",
    "ParityOptions",
    "PoseEvaluationOptions",
    "PredictionOptions",
    "RayEvaluationOptions",
    "RayOptions",
    "ReportOptions",
    "SplitOptions",
    "VisualizationOptions",
    "option",
    "require",
]
