"""`python -m benchmarks`: its registry, its table and its last line; no test measures."""

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import Row, __main__, table
from benchmarks.jobs import GROWTH, JOBS, WHOLE_SECONDS, Job
from benchmarks.timing import compare, row_of_times
from core.errors import UserError

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks" / "jobs"


@pytest.mark.parametrize("name", sorted({**JOBS, **GROWTH}))
def test_every_benchmark_measures(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions["measure"].args.args == []


def test_all_benchmarks_fit_into_the_time() -> None:
    assert sum(job.seconds for job in JOBS.values()) <= WHOLE_SECONDS
    assert {path.stem for path in FOLDER.glob("[!_]*.py")} >= {*JOBS, *GROWTH}


def test_a_row_is_met_where_its_ratio_is_reached() -> None:
    assert Row("job", 3.0, 1.0, 3.0, wanted=3.0).met and Row("job", None, None, 0.1).met
    assert not Row("job", 2.0, 1.0, 2.0, wanted=3.0).met
    row = row_of_times("job", [0.4, 0.2, 0.6], [0.1, 0.1, 0.1], wanted=3, difference=0.0, per=2)
    assert (row.plain, row.ours, row.ratio, row.unit) == pytest.approx((200, 50, 4, "ms"))
    assert row.unsteadiness == pytest.approx(abs(5 / 2 - 1))
    assert table([row]).splitlines()[1].split() == ["job", "200", "ms", "50", "ms", "4", "3", "0"]


def test_both_versions_take_turns() -> None:
    calls: list[str] = []
    compare("job", lambda: calls.append("plain"), lambda: calls.append("ours"), rounds=2, warm=1)
    assert calls == ["plain", "ours"] * 3


def test_the_last_line_sums_up() -> None:
    rows = [Row("one", 3.0, 1.0, 3.0, wanted=2.0, unsteadiness=0.01), Row("two", 1.0, 1.0, 1.0, wanted=2.0)]
    line = __main__.summary(rows, {"three": "cut off after 5 s"}, 61.4)
    assert line == (
        "1 of 2 rows met in 61 s; not met: two (1 of 2); not done: three; "
        "the machine was quiet: ratios of two halves differ by 1.0% at most"
    )


def pretended(code: int | None) -> Callable[..., int | None]:
    """A process that wrote a row and ended with that code."""

    def wait(command: list[str], log: int, seconds: float) -> int | None:
        Path(command[-1]).write_text(json.dumps(Row("one", 2.0, 1.0, 2.0).as_json()) + "\n")
        return code

    return wait


@pytest.mark.parametrize(
    ("code", "said"), [(0, ""), (None, "cut off after 20 s"), (1, "failed: exit code 1")]
)
def test_what_a_benchmark_found_counts_however_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, said: str
) -> None:
    monkeypatch.setattr(__main__, "wait", pretended(code))
    rows, failure = __main__.run_job("one", Job(20, "nothing"), tmp_path, 20)
    assert rows == [Row("one", 2.0, 1.0, 2.0)] and failure.startswith(said)


def test_what_cannot_run_says_so(tmp_path: Path) -> None:
    absent = Job(20, "nothing", package="no_such_package")
    assert __main__.run_job("one", absent, tmp_path, 20) == (
        [],
        "not begun: no_such_package is not installed",
    )
    assert __main__.run_job("one", Job(20, "nothing"), tmp_path, 1) == ([], "not begun: no time was left")


def test_growth_is_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for name in GROWTH:
        with pytest.raises(UserError, match="add --growth"):
            __main__.main(["--only", name])
