# shellcheck shell=bash
# The Python environment, once: sourced by configs/job.sh and tests/run.sh, from any current directory.
#
#   source environment.sh           makes `.venv` beside this file if there is none, installs requirements.txt, and sets
#                                   PYTHON to its interpreter, OMP_NUM_THREADS to the number of cores (unless set)
#                                   and OMP_WAIT_POLICY to passive (unless set)
#   TEST=1                          requirements-onnx.txt and requirements-dev.txt as well; compiled when imported
#   PYTHON=/path/to/python3.12      the Python that makes `.venv`; otherwise the first of 3.11 to 3.13 on the PATH
#   TOOLBOX_PYTHON=/path/to/python  no `.venv`: this interpreter, with the packages that it has
#
# pip's own settings (index, proxy, certificates) count. What was installed is noted in `.venv`, so the second run starts
# at once, a changed requirements file is installed again, and an interrupted installation is taken up where it stood.

_environment_fail() {
    echo "error: $*" >&2
    return 1
}

# Prints the first suitable Python: 3.11 or newer, but not 3.14, for which paddlepaddle 3.3.1 has no wheel.
_environment_find_python() {
    local candidate without_pip=""
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3 python
    fi
    for candidate in "$@"; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
        without_pip="$candidate"
    done
    if [ -n "$without_pip" ]; then
        _environment_fail "'$without_pip -m venv' cannot work here: install the package python3-venv, or set PYTHON=/path/to/python3.11"
    elif [ -n "${PYTHON:-}" ]; then
        _environment_fail "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13; give the path of one, or unset PYTHON"
    else
        _environment_fail "no Python 3.11, 3.12 or 3.13 on the PATH; install one, or set PYTHON=/path/to/python3.11"
    fi
}

# Makes .venv where there is none that works.
_environment_make() {
    local venv="$1" python="$2" base
    if "$python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    base="$(_environment_find_python)" || return 1
    echo "environment: $base -m venv $venv" >&2
    "$base" -m venv --clear "$venv" >&2 ||
        _environment_fail "'$base -m venv --clear $venv' failed; see the message above (disk full, no right to write?)"
}

# Installs a requirements file unless the very same one was installed before.
_environment_install() {
    local venv="$1" python="$2" file="$3" stamp information compile=""
    stamp="$venv/installed-${file##*/}"
    echo "environment: installing ${file##*/} into $venv; minutes, once" >&2
    rm -f "$stamp"
    # pip writes RECORD last. A package without it was cut off in the middle, which pip would take for installed.
    for information in "$venv"/lib/python*/site-packages/*.dist-info; do
        [ -e "$information/RECORD" ] || rm -rf "$information"
    done
    # Python compiles what is imported, and keeps it. pip would compile 12 000 files, one after the other, most of which no
    # test imports; users, whose environment may be read-only later, get them.
    [ "${TEST:-0}" = 0 ] || [ -n "${PYTHONDONTWRITEBYTECODE:-}" ] || compile=--no-compile
    "$python" -m pip install --disable-pip-version-check ${compile:+"$compile"} -r "$file" >&2 ||
        _environment_fail "'$python -m pip install -r $file' failed; see pip's message above (no network? proxy and index are pip's settings), then run this again" ||
        return 1
    cp "$file" "$stamp.partial" && mv "$stamp.partial" "$stamp"
}

_environment_prepare() {
    local root venv python name
    if [ -n "${TOOLBOX_PYTHON:-}" ]; then
        PYTHON="$TOOLBOX_PYTHON"
        _environment_threads
        return 0
    fi
    root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null && pwd)" || return 1
    venv="$root/.venv"
    python="$venv/bin/python"
    for name in requirements.txt requirements-onnx.txt requirements-dev.txt; do
        [ "$name" = requirements.txt ] || [ "${TEST:-0}" != 0 ] || continue
        if ! [ -x "$python" ] || ! cmp -s "$root/$name" "$venv/installed-$name"; then
            _environment_make "$venv" "$python" || return 1
            _environment_install "$venv" "$python" "$root/$name" || return 1
        fi
    done
    _environment_threads
    PYTHON="$python"
}

_environment_threads() {
    local cores
    # Before any framework is imported: importing paddle sets it to 1 where it is unset.
    cores="$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$cores}"
    # Threads that wait sleep: where they spin, one other busy process makes training four to eight times slower;
    # alone on the machine, spinning would be 7 % faster (OMP_WAIT_POLICY=active).
    export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
}

# As a program (bash environment.sh) it only prepares.
_environment_prepare || return 1 2>/dev/null || exit 1
