"""The weights of a run, where its folder is named in place of theirs."""

import re
from pathlib import Path

from core.errors import say
from core.files.inputs import WEIGHTS

BEST = "weights_best"
NUMBERED = re.compile(r"(weights|step)_(\d+)")


def weights_of(folder: Path) -> Path:
    """A folder of weights itself; of a run or its `models/` the best by its validation, else the last, which is said.

    Args:
        folder: that exists.
    """
    for models in (folder / "models", folder):
        if models.is_dir() and not _holds_weights(models):
            found = _chosen(models)
            if found is not None:
                why = "the best by its validation" if found.name == BEST else "the last there is"
                say(f"{folder}: a run; taken of it: {found}, {why}")
                return found
    return folder


def _holds_weights(folder: Path) -> bool:
    return any(path.suffix in WEIGHTS and path.is_file() for path in folder.iterdir())


def _chosen(models: Path) -> Path | None:
    there = {path.name: path for path in models.iterdir() if path.is_dir() and _holds_weights(path)}
    if BEST in there:
        return there[BEST]
    numbered = {
        (m[1] == "weights", int(m[2])): path
        for name, path in there.items()
        if (m := NUMBERED.fullmatch(name))
    }
    return numbered[max(numbered)] if numbered else there.get("weights_initial")
