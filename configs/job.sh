# shellcheck shell=bash
# What the script of every recipe shares; it sources this file after `set -euo pipefail`.
#
#   --long                           on the rendered street: trained longer
#   DATA_PATH=/path/to/kitti         the published recipe; without it, a rendered street, scaled to a CPU
#   BACKEND=torch|paddle             the framework (torch)
#   PNG=1                            KITTI's own .png images; otherwise .jpg
#   WEIGHTS_INIT=scratch             KITTI without ImageNet weights
#   LOG_DIR=folder                   where runs go (runs)
#   DEMO_DATA=folder                 where the street is rendered to (data/drive)
#   TOOLBOX_PYTHON=/path/to/python   this interpreter, with its packages, instead of an environment in .venv
#
# Afterwards the current directory is the project's root, and there are
#   backend, data, logs, long        what the user asked for, paths absolute; data is the street's folder without DATA_PATH
#   on_kitti                         whether DATA_PATH was given
#   step TITLE                       a headline with the seconds since the start
#   use_mode MODE                    sets mode, and sources, the options of train.py for it: MODE, or what is given here
#   weights RUN EPOCH                the folder of weights of a run
#   train RUN OPTION…                trains $logs/RUN
#   stage RUN EPOCHS OPTION…         the same, for so many epochs; not if it is finished, and from where it was interrupted
#   evaluate RUN EPOCH OPTION…       evaluates it, to $logs/RUN/metrics.json
#   prepare_kitti [ENCODER OPTION…]  ground truth of the Eigen test; before it, weights of an encoder, unless from scratch
#   prepare_hints LIST OPTION…       depth hints of the images of a list; those that are there stay
#   prepare_street                   renders the street and exports its ground truth; sets split
#   evaluate_street ROW=RUN:EPOCH…   evaluates runs on the street; table of all of them, picture of the last
#   evaluate_metres RUN EPOCH        its depth on the street as it is, beside that scaled by medians; to variants.json

_job_fail() { echo "error: $*" >&2 && exit 2; }

_job_choice() { # NAME VALUE CHOICE…
    local name="$1" value="$2" choice
    shift 2
    for choice in "$@"; do [ "$value" != "$choice" ] || return 0; done
    case $# in
        2) _job_fail "$name=$value: choose $1 or $2" ;;
        *) _job_fail "$name=$value: choose $1, $2 or $3" ;;
    esac
}

_job_help() { # the comments at the head of the recipe, then those above
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    sed -n '/^#   --long/,/^#$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

long=0
for argument in "$@"; do
    case "$argument" in
        --long) long=1 ;;
        -h | --help) _job_help && exit 0 ;;
        *) _job_fail "unknown argument $argument; there is --long, the rest are variables: see --help" ;;
    esac
done
backend="${BACKEND:-torch}" weights_init="${WEIGHTS_INIT:-pretrained}"
_job_choice BACKEND "$backend" torch paddle
_job_choice WEIGHTS_INIT "$weights_init" pretrained scratch
[ -z "${MODE:-}" ] || _job_choice MODE "$MODE" mono stereo mono+stereo
# Paths are meant from where the user stands.
if [ -n "${DATA_PATH:-}" ]; then
    [ -d "$DATA_PATH" ] || _job_fail "DATA_PATH=$DATA_PATH: no such folder; give the root of KITTI raw"
    data="$(cd "$DATA_PATH" && pwd)"
fi
case "${TOOLBOX_PYTHON:-}" in */*) TOOLBOX_PYTHON="$(realpath -ms "$TOOLBOX_PYTHON")" ;; esac
[ -z "${TOOLBOX_PYTHON:-}" ] || command -v "$TOOLBOX_PYTHON" >/dev/null ||
    _job_fail "TOOLBOX_PYTHON=$TOOLBOX_PYTHON: no such program; give a Python that has the packages, or unset it"
[ -z "${LOG_DIR:-}" ] || { mkdir -p "$LOG_DIR" && logs="$(cd "$LOG_DIR" && pwd)"; }
[ -z "${DEMO_DATA:-}" ] || demo_data="$(realpath -m "$DEMO_DATA")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
logs="${logs:-$PWD/runs}"
data="${data:-${demo_data:-$PWD/data/drive}}"
# shellcheck source=environment.sh
. ./environment.sh

png=()
[ "${PNG:-0}" = 0 ] || png=(--png)
started=$SECONDS

on_kitti() { [ -n "${DATA_PATH:-}" ]; }

step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

use_mode() { # MODE where none is given → mode, sources
    mode="${MODE:-$1}"
    case "$mode" in
        mono) sources=(--frame_ids 0 -1 1 --no_use_stereo) ;;
        stereo) sources=(--frame_ids 0 --use_stereo) ;;
        mono+stereo) sources=(--frame_ids 0 -1 1 --use_stereo) ;;
    esac
}

weights() { echo "$logs/$1/models/weights_$2"; }

train() {
    step "train $1"
    "$PYTHON" train.py --backend "$backend" --log_dir "$logs" --data_path "$data" "${@:2}" --model_name "$1"
}

stage() {
    local last=$(($2 - 1)) resume=()
    [ "$2" != 0 ] || last=initial
    if [ -d "$(weights "$1" "$last")" ]; then
        step "$1 is trained already"
        return
    fi
    [ ! -d "$logs/$1/models" ] || resume=(--resume)
    train "$1" "${@:3}" --num_epochs "$2" "${resume[@]}"
}

evaluate() {
    step "evaluate $1"
    "$PYTHON" evaluate_depth.py --backend "$backend" --data_path "$data" --output "$logs/$1/metrics.json" \
        --load_weights_folder "$(weights "$1" "$2")" "${@:3}"
}

prepare_kitti() {
    if [ "$weights_init" = pretrained ] && [ $# -gt 0 ]; then
        step "ImageNet weights"
        "$PYTHON" -m core.weights.zoo "$1" # before hours are spent
    fi
    step "ground truth of the Eigen test split"
    "$PYTHON" export_gt_depth.py --data_path "$data" --split eigen "${@:2}"
}

prepare_hints() {
    step "depth hints of $1"
    "$PYTHON" precompute_depth_hints.py --data_path "$data" --split "$1" "${@:2}"
}

prepare_street() {
    split="$data/splits"
    step "render a street to $data"
    "$PYTHON" render_drive.py --output "$data" --height 128 --width 416 --azimuths 500
    step "ground truth of its test drive"
    "$PYTHON" export_gt_depth.py --data_path "$data" --split "$split"
}

evaluate_street() {
    local rows=() row run epoch keep=()
    for row in "$@"; do
        run="${row#*=}" epoch="${row##*:}"
        run="${run%:*}"
        [ "$row" != "${!#}" ] || keep=(--save_pred_disps)
        evaluate "$run" "$epoch" --eval_split "$split" --eval_mono --crop garg "${keep[@]}"
        rows+=("${row%%=*}=$logs/$run/metrics.json")
    done
    step "the result"
    "$PYTHON" report_depth.py --data_path "$data" --split "$split" --output "$logs/$run" \
        --disparities "$(weights "$run" "$epoch")/disps_splits_split.npy" --metrics "${rows[@]}"
}

evaluate_metres() {
    step "$1 in metres"
    "$PYTHON" evaluate_depth.py --backend "$backend" --data_path "$data" --output "$logs/$1/variants.json" \
        --load_weights_folder "$(weights "$1" "$2")" --eval_split "$split" --crop garg --eval_stereo --variants
}

trap '[ $? != 0 ] || step done' EXIT
