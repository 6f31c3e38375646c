"""The street that several tests look at: it takes seconds to build, so it is built once."""

import functools

from core.rendering.street import Plan, Street

FRAMES = 5
PLAN = Plan(seed=3, drive=0, frames=FRAMES)


@functools.cache
def street() -> Street:
    """The street of the plan; not to be changed."""
    return Street(PLAN)
