"""Makes the depth hints that training may ask for: of stereo pairs by matching, or from any other source."""

from pathlib import Path

from core.errors import run, say
from core.options import HintOptions
from core.options.parsing import parse


def main(argv: list[str] | None = None) -> None:
    """Parses, makes, reports."""
    options = parse(HintOptions, argv, __doc__ or "")
    from core.datasets.hints import making

    plan = making.plan(options)
    for note in plan.notes:
        say(note)
    making.run(plan)
    print(plan.describe(), flush=True)
    if options.picture is not None:
        print(making.show(plan, Path(options.picture)))
    making.check(plan)


if __name__ == "__main__":
    run(main)
