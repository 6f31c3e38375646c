"""`weights/zoo.yml`, read and checked: which weights there are, where they lie, what they are, and on which terms."""

import difflib
import os
import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.errors import UserError
from core.files import plain_yaml
from core.weights.download import Checksum

FOLDER = Path(__file__).resolve().parent.parent.parent / "weights"
# Another folder for weights, shared by people or machines; its zoo.yml, if there is one, may name a mirror.
VARIABLE = "MONODEPTH_WEIGHTS"
ZOO = "zoo.yml"
KINDS = ("networks", "model", "encoder")
NOWHERE = "none"  # the address of what has to be fetched by hand


@dataclass(frozen=True)
class Family:
    """What the releases of one origin share."""

    # networks: an archive of files such as encoder.pth; model: one file of all networks; encoder: one file to start
    # training from.
    kind: str
    address: str  # with {file}; none: to be fetched by hand
    licence: str


@dataclass(frozen=True)
class Release:
    """One entry of `zoo.yml`; the names are explained there."""

    name: str
    family: Family
    file: str
    checksum: str
    data: str
    num_layers: int = 0  # of its ResNet; 0: it has none
    height: int = 0
    width: int = 0
    mode: str = ""
    pretrained: bool = False
    scaling: str | float = ""
    files: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    unverified: list[str] = field(default_factory=list)
    megabytes: int = 0

    @property
    def is_trained(self) -> bool:
        """Trained networks, not one file that training starts from."""
        return self.family.kind != "encoder"

    @property
    def is_archive(self) -> bool:
        """Networks in an archive, of which a folder is made."""
        return self.family.kind == "networks"

    @property
    def can_be_fetched(self) -> bool:
        """Whether it is known where it lies."""
        return self.family.address != NOWHERE

    @property
    def address(self) -> str:
        return self.family.address.replace("{file}", quote(self.file))

    @property
    def published(self) -> Checksum | None:
        """The checksum that its authors publish."""
        return None if self.checksum == "none" else Checksum(*self.checksum.split(":"))


def weights_root() -> Path:
    """The folder of weights: `weights/` of the project, or the one that MONODEPTH_WEIGHTS names."""
    return Path(os.path.expanduser(os.environ.get(VARIABLE) or FOLDER))


def load_zoo(root: Path) -> dict[str, Release]:
    """The releases of a folder's `zoo.yml`; of the project's where the folder has none.

    Raises:
        UserError: unreadable; an entry lacks a key, has an unknown one, or a value that cannot be.
    """
    path = root / ZOO if (root / ZOO).is_file() else FOLDER / ZOO
    content = plain_yaml.read(path, "not a readable zoo")
    shaped = isinstance(content, dict) and set(content) == {"families", "releases"}
    _require(shaped, str(path), "expected the keys families and releases, and no others")
    families = {
        name: _family(f"{path}: {name}", entry) for name, entry in _entries(path, content["families"])
    }
    entries = _entries(path, content["releases"])
    return {name: _release(f"{path}: {name}", name, entry, families) for name, entry in entries}


def _entries(path: Path, section: Any) -> list[tuple[str, dict[str, Any]]]:
    _require(isinstance(section, dict), str(path), "families and releases: expected names with entries")
    for name, entry in section.items():
        _require(_is_plain(name), str(path), f"{name!r} is no plain name")
        _require(isinstance(entry, dict), f"{path}: {name}", "expected lines `key: value`")
    return list(section.items())


def _family(where: str, entry: dict[str, Any]) -> Family:
    family = _build(Family, where, entry)
    _require(family.kind in KINDS, where, f"kind: {family.kind!r} is none of {', '.join(KINDS)}")
    shaped = re.fullmatch(r"https?://[^\s{}]+\{file\}[^\s{}]*", family.address)
    known = shaped is not None or family.address == NOWHERE
    _require(known, where, "address: expected http(s)://… with {file} in it, or none")
    return family


def _release(where: str, name: str, entry: dict[str, Any], families: dict[str, Family]) -> Release:
    family = str(entry.get("family"))
    _require(family in families, where, f"family: {family!r} is none of {', '.join(families)}")
    release = _build(Release, where, entry | {"name": name, "family": families[family]})
    _require(_is_plain(release.file), where, f"file: {release.file!r} is no plain file name")
    checksum = re.fullmatch(r"none|md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,64}", release.checksum)
    _require(checksum is not None, where, "checksum: expected md5:…, sha256:… (8 to 64 digits) or none")
    if release.is_archive:
        named = release.files and all(_is_plain(file) for file in release.files)
        _require(
            bool(named), where, "files: name what the archive must hold, such as [encoder.pth, depth.pth]"
        )
        _require(
            release.file != name, where, "file: must differ from the release's name, which the folder gets"
        )
    return release


def _build(kind: type[Any], where: str, entry: dict[str, Any]) -> Any:
    """An instance of the dataclass: every key known, every value of its type, nothing missing."""
    known = {one.name: one for one in fields(kind)}
    for key, value in entry.items():
        nearest = difflib.get_close_matches(str(key), known, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        _require(key in known, where, f"unknown key {key!r}{hint}")
        _require(_fits(value, key, known[key].type), where, f"{key}: {value!r} is not of the right type")
    for key, one in known.items():
        optional = one.default is not MISSING or one.default_factory is not MISSING
        _require(key in entry or optional, where, f"lacks {key}")
    return kind(**entry)


def _fits(value: Any, key: str, annotation: Any) -> bool:
    match key:
        case "metrics":
            return isinstance(value, dict) and all(_is_number(number) for number in value.values())
        case "files" | "unverified":
            return isinstance(value, list) and all(isinstance(element, str) for element in value)
        case "scaling":
            return value == "median" or _is_number(value)
    return type(value) is annotation


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"\w[\w.+-]*", name) is not None


def _require(condition: bool, where: str, problem: str) -> None:
    if not condition:
        raise UserError(f"{where}: {problem}")
