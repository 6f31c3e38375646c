#!/usr/bin/env bash
# Monodepthv2, the main job: pretrain, fine-tune at a higher resolution, export ground truth, evaluate both.
#
#   bash configs/monodepthv2/mdp.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/monodepthv2/mdp.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/monodepthv2/mdp.sh    the published recipe on KITTI: a GPU, many hours
#
#   BACKEND=torch|paddle             the framework (torch)
#   MODE=mono|stereo|mono+stereo     what is learnt from (KITTI: mono+stereo; rendered street: stereo)
#   PNG=1                            KITTI's own .png images; otherwise .jpg
#   WEIGHTS_INIT=scratch             KITTI without ImageNet weights, 30 epochs as published
#   LOG_DIR=folder                   where runs go (runs)
#   DEMO_DATA=folder                 where the street is rendered to (data/drive)
set -euo pipefail

long=0
for argument in "$@"; do
    case "$argument" in
        --long) long=1 ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 0 ;;
        *) echo "error: unknown argument $argument; there is --long, the rest are variables: see --help" >&2 && exit 2 ;;
    esac
done
backend="${BACKEND:-torch}"
case "$backend" in torch | paddle) ;; *) echo "error: BACKEND=$backend: choose torch or paddle" >&2 && exit 2 ;; esac
case "${WEIGHTS_INIT:-pretrained}" in
    pretrained | scratch) ;;
    *) echo "error: WEIGHTS_INIT=$WEIGHTS_INIT: choose pretrained or scratch" >&2 && exit 2 ;;
esac
case "${MODE:-stereo}" in
    mono | stereo | mono+stereo) ;;
    *) echo "error: MODE=$MODE: choose mono, stereo or mono+stereo" >&2 && exit 2 ;;
esac
# Paths are meant from where the user stands.
if [ -n "${DATA_PATH:-}" ]; then
    [ -d "$DATA_PATH" ] || { echo "error: DATA_PATH=$DATA_PATH: no such folder; give the root of KITTI raw" >&2 && exit 2; }
    data="$(cd "$DATA_PATH" && pwd)"
fi
mkdir -p "${LOG_DIR:-.}" && logs="$(cd "${LOG_DIR:-.}" && pwd)"
demo_data="$(realpath -m "${DEMO_DATA:-.}")"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ -n "${LOG_DIR:-}" ] || logs="$PWD/runs"
[ -n "${DEMO_DATA:-}" ] || demo_data="$PWD/data/drive"
# shellcheck source=environment.sh
. ./environment.sh

configs=configs/monodepthv2
started=$SECONDS

step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

train() { "$PYTHON" train.py --backend "$backend" --log_dir "$logs" --data_path "$data" "$@"; }

mode_options() { # MODE → options of train.py
    case "$1" in
        mono) echo --frame_ids 0 -1 1 --no_use_stereo ;;
        stereo) echo --frame_ids 0 --use_stereo ;;
        mono+stereo) echo --frame_ids 0 -1 1 --use_stereo ;;
    esac
}

evaluate() { # name of the run, epoch, options
    local weights="$logs/$1/models/weights_$2"
    "$PYTHON" evaluate_depth.py --backend "$backend" --data_path "$data" --load_weights_folder "$weights" \
        --output "$logs/$1/metrics.json" "${@:3}"
}

kitti() {
    local mode="${MODE:-mono+stereo}" png=() scaling=--eval_stereo options
    [ "${PNG:-0}" = 0 ] || png=(--png)
    local epochs=20
    if [ "${WEIGHTS_INIT:-pretrained}" = scratch ]; then
        epochs=30
    else
        step "ImageNet weights"
        "$PYTHON" -m core.weights.zoo resnet18 # before hours are spent
    fi
    [ "$mode" != mono ] || scaling=--eval_mono
    read -ra options <<<"$(mode_options "$mode")"
    [ "$mode" != stereo ] || options+=(--split eigen_full)
    options+=(--weights_init "${WEIGHTS_INIT:-pretrained}")
    local name="mdp_${backend}_${mode}"
    step "ground truth of the Eigen test split"
    "$PYTHON" export_gt_depth.py --data_path "$data" --split eigen
    step "pretrain at 640x192"
    train --config $configs/mdp.yml "${options[@]}" "${png[@]}" --model_name "${name}_640x192" --num_epochs $epochs
    step "fine-tune at 1024x320"
    train --config $configs/mdp.yml --config $configs/mdp_1024x320.yml "${options[@]}" "${png[@]}" \
        --load_weights_folder "$logs/${name}_640x192/models/weights_9" --model_name "${name}_1024x320"
    step "evaluate both"
    evaluate "${name}_640x192" $((epochs - 1)) --eval_split eigen $scaling "${png[@]}"
    evaluate "${name}_1024x320" 4 --eval_split eigen $scaling "${png[@]}"
}

demo() {
    local mode="${MODE:-stereo}" length=demo epochs=4 tuning=2 options # epochs at 320x96, at 416x128
    [ $long = 0 ] || length=long epochs=18 tuning=14
    data="$demo_data"
    local split="$data/splits" name="${length}_${backend}_${mode}"
    read -ra options <<<"$(mode_options "$mode")"
    options+=(--split "$split")
    # Nothing stands still between two cameras, and from scratch a masked pixel that predicts "far" never learns again.
    [ "$mode" != stereo ] || options+=(--disable_automasking)
    step "render a street to $data"
    "$PYTHON" render_drive.py --output "$data" --height 128 --width 416 --azimuths 500
    step "ground truth of its test drive"
    "$PYTHON" export_gt_depth.py --data_path "$data" --split "$split"
    step "the network before training"
    train --config $configs/demo.yml "${options[@]}" --model_name "${name}_initial" --num_epochs 0
    # In both steps the last fifth of the epochs, rounded up, has a tenth of the rate.
    step "pretrain at 320x96"
    train --config $configs/demo.yml "${options[@]}" --model_name "${name}_320x96" \
        --num_epochs $epochs --scheduler_step_size $((epochs * 4 / 5))
    step "fine-tune at 416x128"
    train --config $configs/demo.yml --config $configs/demo_416x128.yml "${options[@]}" --model_name "${name}_416x128" \
        --load_weights_folder "$logs/${name}_320x96/models/weights_$((epochs - 1))" \
        --num_epochs $tuning --scheduler_step_size $((tuning * 4 / 5))
    step "evaluate"
    local protocol=(--eval_split "$split" --eval_mono --crop garg) tuned="$logs/${name}_416x128/models/weights_$((tuning - 1))"
    evaluate "${name}_initial" initial "${protocol[@]}"
    evaluate "${name}_320x96" $((epochs - 1)) "${protocol[@]}"
    evaluate "${name}_416x128" $((tuning - 1)) "${protocol[@]}" --save_pred_disps
    step "the result"
    "$PYTHON" report_depth.py --data_path "$data" --split "$split" --output "$logs/${name}_416x128" \
        --disparities "$tuned/disps_splits_split.npy" --metrics \
        "before training=$logs/${name}_initial/metrics.json" \
        "pretrained 320x96=$logs/${name}_320x96/metrics.json" \
        "fine-tuned 416x128=$logs/${name}_416x128/metrics.json"
}

if [ -n "${DATA_PATH:-}" ]; then kitti; else demo; fi
step done
