"""The cache of images: which are kept, and in how much memory."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets import image_cache, memory
from core.datasets.image_cache import ImageCache
from core.datasets.memory import Allowance, free_memory
from core.datasets.preparation import IMAGES

ARRAY = np.zeros((4, 5, 3), np.uint8)  # 60 bytes


@pytest.fixture
def allowance(monkeypatch: pytest.MonkeyPatch) -> Allowance:
    """One that lets two arrays and a half be kept."""
    made = Allowance()
    monkeypatch.setattr(memory, "free_memory", lambda: memory.SHARE * 150)
    monkeypatch.setattr(image_cache, "ALLOWANCE", made)
    return made


def kept(cache: ImageCache) -> list[str]:
    return [name for name in "abcd" if cache.get((Path(name), None)) is not None]


def test_a_number_forgets_the_oldest() -> None:
    cache = ImageCache(2)
    for name in "abac":
        cache.put((Path(name), None), ARRAY)
    assert kept(cache) == ["a", "c"]


def test_without_a_number_the_memory_decides_and_the_first_stay(allowance: Allowance) -> None:
    cache, other = ImageCache(None), ImageCache(None)
    for name in "aab":
        cache.put((Path(name), None), ARRAY)
    cache.put((Path("c"), None), ARRAY)
    other.put((Path("d"), None), ARRAY)
    assert kept(cache) == ["a", "b"] and kept(other) == []
    del cache
    other.put((Path("d"), None), ARRAY)
    assert kept(other) == ["d"]


def test_processes_of_a_machine_share(allowance: Allowance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert not allowance.take(60) and allowance.take(50)


def test_free_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("memory", "MemTotal: 9 kB\nMemAvailable:  8 kB\n"),
        ("limit", "5000"),
        ("taken", "2000"),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "memory")
    monkeypatch.setattr(memory, "LIMITS", ((tmp_path / "limit", tmp_path / "taken"),))
    assert free_memory() == 3000
    (tmp_path / "limit").write_text("max")
    assert free_memory() == 8192
    (tmp_path / "memory").unlink()
    assert free_memory() == 0


@pytest.mark.parametrize("name", ["lanczos", "bilinear"])
@pytest.mark.parametrize("widths", [(1242, 640), (1226, 416), (97, 64), (64, 97), (5, 640)])
def test_a_width_is_symmetric_where_mirroring_first_or_last_is_the_same(
    name: str, widths: tuple[int, int]
) -> None:
    kind, (before, after) = IMAGES[name], widths
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (33, before, 3), np.uint8))
    first = kind.medium.resize(kind.medium.mirror(image), 20, after)
    last = kind.medium.mirror(kind.medium.resize(image, 20, after))
    assert kind.symmetric(before, after) == (first == last)
