"""Short streets: a street of full length, 45 m behind and 190 m ahead of the car, takes seconds to build and paint."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.rendering import drive
from core.rendering import street as street_module
from core.rendering.street import Plan, Street

FRAMES = 5
_start = drive._start


@contextmanager
def short(ahead: float = 30.0) -> Iterator[None]:
    """Streets that are planned and built inside, and in the processes that render, are short.

    Args:
        ahead: metres of street before the car.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(street_module, "BEHIND", 10.0)
        patch.setattr(street_module, "AHEAD", ahead)
        patch.setattr(drive, "_start", functools.partial(start_short, ahead))
        yield


def start_short(ahead: float, counter: Any) -> None:
    """What a rendering process does first."""
    street_module.BEHIND, street_module.AHEAD = 10.0, ahead
    _start(counter)


far = functools.partial(short, ahead=80.0)  # so that most of a picture shows the street
with far():
    PLAN = Plan(seed=3, drive=0, frames=FRAMES)


@functools.cache
def street() -> Street:
    """The street of the plan, which several tests look at; not to be changed."""
    with far():
        return Street(PLAN)
