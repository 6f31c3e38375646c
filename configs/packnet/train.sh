#!/usr/bin/env bash
# PackNet: train from video, with or without measured speed or depth, export ground truth, evaluate.
#
#   bash configs/packnet/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/packnet/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/packnet/train.sh    the published recipe on KITTI: a GPU, days
#
#   SUPERVISION=none|velocity|semi    what teaches beside the views: nothing, speed, measured depth (velocity)
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/packnet supervision="${SUPERVISION:-velocity}"
_job_choice SUPERVISION "$supervision" none velocity semi
if on_kitti; then
    name="packnet_${backend}_$supervision" depth=() unit=--eval_stereo # metres where anything measured teaches
    [ "$supervision" != none ] || unit=--eval_mono
    [ "$supervision" != semi ] || depth=(--depth_type groundtruth)
    prepare_kitti
    train "$name" --config $configs/kitti.yml --supervision "$supervision" "${depth[@]}" "${png[@]}"
    evaluate "$name" best --protocol packnet "$unit" --variants "${png[@]}"
else
    name="packnet_demo_${backend}_$supervision" epochs=4
    [ "$long" = 0 ] || name="packnet_long_${backend}_$supervision" epochs=12
    prepare_street
    options=(--config $configs/demo.yml --split "$split" --supervision "$supervision")
    train "${name}_initial" "${options[@]}" --num_epochs 0
    train "$name" "${options[@]}" --num_epochs $epochs --scheduler_step_size $((epochs * 3 / 4))
    evaluate_street "before training=${name}_initial:initial" "trained=$name:$((epochs - 1))"
    [ "$supervision" = none ] || evaluate_metres "$name" $((epochs - 1))
fi
