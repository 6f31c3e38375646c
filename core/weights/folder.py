"""What a weights folder says of its model."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.options import Monodepth2Options
from core.parsing import load_options

OPTIONS_FILE = "options.yaml"


def model_options(
    folder: Path, encoder: dict[str, np.ndarray], overrides: dict[str, Any]
) -> Monodepth2Options:
    """The options of the model in a folder: `options.yaml`, or what an official encoder file tells.

    Args:
        encoder: content of the encoder file; the official ones carry `height`, `width` and `use_stereo`.
        overrides: values that replace those of the folder; None leaves them.

    Raises:
        UserError: `options.yaml` is damaged, or a value is impossible.
    """
    if (folder / OPTIONS_FILE).is_file():
        options = load_options(Monodepth2Options, folder / OPTIONS_FILE)
    else:
        options = Monodepth2Options(
            height=_number(folder, encoder, "height"),
            width=_number(folder, encoder, "width"),
            use_stereo=bool(_number(folder, encoder, "use_stereo")),
        )
    options = dataclasses.replace(
        options, **{name: value for name, value in overrides.items() if value is not None}
    )
    options.validate()
    return options


def _number(folder: Path, encoder: dict[str, np.ndarray], name: str) -> int:
    """What the encoder file says under a name, or the default of that option."""
    try:
        return int(np.asarray(encoder.get(name, getattr(Monodepth2Options, name))).item())
    except (TypeError, ValueError, OverflowError):
        raise UserError(
            f"{folder}: {name} in the encoder file is no number; download the file again"
        ) from None
