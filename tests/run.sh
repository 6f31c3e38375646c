#!/usr/bin/env bash
# Every check: lint, format, types, and the tests: three runs of pytest at once, each backend in a process of its own.
# Makes the environment first. What lies in tests/slow is run by hand, see CONTRIBUTING.md.
#
#   bash tests/run.sh               all of it
#   bash tests/run.sh -k geometry   arguments go to pytest
#
# A failing stage does not keep the next from running. Exit code 0: all passed.

[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 1
TEST=1
. ./environment.sh || exit 1

reports="$(mktemp -d)" || exit 1
trap 'rm -rf "$reports"' EXIT
arguments=$#
summary=""
failed_stages=0

# stage NAME COMMAND...: runs it and notes how it ended.
stage() {
    local name="$1" start="$SECONDS" code=0 verdict=ok
    shift
    printf '\n== %s\n' "$name"
    "$@" || code=$?
    if [ "$code" != 0 ]; then
        verdict=FAILED
        failed_stages=$((failed_stages + 1))
        touch "$reports/$name.failed"
    fi
    summary+="$(printf '%-6s  %-12s %4d s' "$verdict" "$name" $((SECONDS - start)))"
    [ "$code" = 0 ] || summary+="  (exit code $code)"
    summary+=$'\n'
}

# run_pytest NAME ARGUMENT...: with a report. No test chosen (5) is no failure when arguments chose.
# shellcheck disable=SC2329  # `stage` calls it
run_pytest() {
    local name="$1" code=0
    shift
    "$PYTHON" -m pytest -q --junitxml="$reports/$name.xml" "$@" || code=$?
    [ "$code" = 5 ] && [ "$arguments" -gt 0 ] && return 0
    return "$code"
}

# begin NAME ARGUMENT...: the same in the background, with what it prints kept in a file.
begin() {
    local name="$1"
    run_pytest "$@" >"$reports/$name.log" 2>&1 &
    running["$name"]=$!
}

# await NAME: waits for it and shows what it printed.
# shellcheck disable=SC2329  # `stage` calls it
await() {
    local name="$1" code=0
    wait "${running[$name]}" || code=$?
    cat "$reports/$name.log"
    return "$code"
}

# Each of the three takes about as long and keeps one core busy: on two cores both are so until nearly the end. More threads
# would only take the core of another one. (A training that a test starts has a number of its own, see tests/scripts.py.)
export OMP_NUM_THREADS=1
export TESTS_DRIVE="$reports/drive" # rendered by one backend's tests for both
declare -A running=()
begin "tests paddle" tests/backends --backend paddle "$@"
begin "tests torch" tests/backends --backend torch "$@"
begin "tests core" tests --ignore=tests/backends --ignore=tests/slow "$@"
stage "ruff check" "$PYTHON" -m ruff check
stage "ruff format" "$PYTHON" -m ruff format --check
stage "mypy core" "$PYTHON" -m mypy core
stage "tests core" await "tests core"
stage "tests torch" await "tests torch"
stage "tests paddle" await "tests paddle"

printf '\n%s' "$summary"
"$PYTHON" - "$reports" <<'PYTHON_END'
# The last line. A stage that failed without a failed test (lint, a crash, nothing collected) counts as one.
import sys
from pathlib import Path
from xml.etree import ElementTree

passed = skipped = 0
reports = Path(sys.argv[1])
failed_of = dict.fromkeys((path.stem for path in reports.glob("*.failed")), 0)
for report in reports.glob("*.xml"):
    for suite in ElementTree.parse(report).iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed_of[report.stem] = failed_of.get(report.stem, 0) + bad
        skipped += int(suite.get("skipped", 0))
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
for path in reports.glob("*.failed"):
    failed_of[path.stem] = max(failed_of[path.stem], 1)
print(f"{passed} passed, {sum(failed_of.values())} failed, {skipped} skipped")
PYTHON_END
exit $((failed_stages > 0))
