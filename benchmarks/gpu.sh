#!/usr/bin/env bash
# One check on a GPU, at most 5 minutes: does everything compute the recorded numbers there, and how fast?
#
#   bash benchmarks/gpu.sh OUTPUT_FOLDER                   all parts; results.txt, results.json and logs in the folder
#   bash benchmarks/gpu.sh OUTPUT_FOLDER --only PART …     these parts again, beside what is there
#   bash benchmarks/gpu.sh OUTPUT_FOLDER --small           a trial on a CPU, with small sizes
#   TOOLBOX_PYTHON=/path/to/python                         this interpreter, with its packages, instead of .venv
#
# Where ../shared is absent, benchmarks/carry/ holds the recorded numbers: python -m benchmarks.pack makes it.
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
case "${1:-}" in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 0 ;; esac
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
[ -z "${TOOLBOX_PYTHON:-}" ] || command -v "$TOOLBOX_PYTHON" >/dev/null ||
    { echo "error: TOOLBOX_PYTHON=$TOOLBOX_PYTHON: no such program; give a Python that has the packages, or unset it" >&2 && exit 2; }
TEST=1 # where it makes an environment: the part `golden` needs pytest
# shellcheck source=environment.sh
. "$root/environment.sh"
# -P: the output folder is meant from where the user stands, but nothing is imported from there.
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -P -m benchmarks.run "$@"
