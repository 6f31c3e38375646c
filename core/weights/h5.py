"""HDF5 weights with flat names, as PaddlePaddle users' `resnet18_pretrain.h5` has them.

An HDF5 file can point to other files (external and soft links, virtual data sets, external storage) and can
declare arrays far larger than itself; all of that is refused.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.files.whole import write_atomically
from core.weights.files import CURE, MAX_TENSOR_BYTES, open_file, unreadable
from core.weights.stand_ins import plain_array

REWRITE = "write it again as plain data sets at the root, without compression"
ELEMENT_KINDS = "fiub"  # truth is an enumeration of FALSE and TRUE


def read_h5(
    path: Path, names: Sequence[str] | None = None, kind: str = "HDF5 file of weights", cure: str = REWRITE
) -> dict[str, np.ndarray]:
    """Reads every data set at the root of a file.

    Args:
        names: of the data sets that are read; what else the file holds is not looked at. None: all.
        kind: what the file is.
        cure: what to do about a bad one; both for the message.

    Returns:
        `{name: array}`, names in the file's order (alphabetical).

    Raises:
        UserError: unreadable, damaged, lacking a name, or anything but plain arrays stored in the file itself.
    """
    import h5py

    path = Path(path)
    open_file(path)[0].close()
    try:
        with h5py.File(path, "r", locking=False) as file:
            missing = [name for name in names or () if name not in file]
            if missing:
                raise UserError(f"{path}: holds no {' and no '.join(map(repr, missing))}; {cure}")
            wanted = file if names is None else names
            datasets = {name: _plain_dataset(path, file, name, cure) for name in wanted}
            _require_present(path, datasets, cure)
            return {name: _values(dataset) for name, dataset in datasets.items()}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise unreadable(path, kind, error, CURE if cure == REWRITE else cure) from None


def write_h5(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes one uncompressed data set per array at the root, so that `read_h5` reads them bit for bit, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    import h5py

    def write(temporary: Path) -> None:
        try:
            with h5py.File(temporary, "w", locking=False) as file:  # it is locked already, by us
                for name, array in arrays.items():
                    assert "/" not in name  # it would become a group
                    file.create_dataset(name, data=np.asarray(array, order="C"))
        except RuntimeError as error:  # what a full disk is to the library, when it closes the file
            raise OSError(f"{error}") from error

    write_atomically(Path(path), write)


def _values(dataset: Any) -> np.ndarray:
    array = np.asarray(dataset[()])
    if array.dtype == np.bool_:
        return plain_array(array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _plain_dataset(path: Path, file: Any, name: str, cure: str) -> Any:
    """The data set of that name, once it is known to lie inside this file as it is."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise UserError(f"{path}: {name!r} is a link to somewhere else; {cure}")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"{path}: {name!r} is a group; only flat names are read; {cure}")
    if dataset.is_virtual or dataset.external:
        raise UserError(f"{path}: {name!r} lies in another file; {cure}")
    if dataset.shape is None or dataset.dtype.kind not in ELEMENT_KINDS or dataset.dtype.subdtype:
        raise UserError(f"{path}: {name!r} is no array of numbers; {cure}")
    if dataset.id.get_create_plist().get_nfilters():
        raise UserError(f"{path}: {name!r} is compressed or filtered; {cure}")
    return dataset


def _require_present(path: Path, datasets: dict[str, Any], cure: str) -> None:
    """Every byte declared is in the file: what is not stored would be made up from a fill value."""
    total = 0
    for name, dataset in datasets.items():
        declared = math.prod(dataset.shape) * dataset.dtype.itemsize
        if declared > dataset.id.get_storage_size():
            raise UserError(f"{path}: {name!r} declares {declared} bytes that the file does not hold; {cure}")
        if declared > MAX_TENSOR_BYTES:
            raise UserError(f"{path}: {name!r} has more than {MAX_TENSOR_BYTES >> 20} MiB; {cure}")
        total += declared
    if total > path.stat().st_size:
        raise UserError(f"{path}: declares {total} bytes, more than the file holds; {cure}")
