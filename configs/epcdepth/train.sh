#!/usr/bin/env bash
# EPCDepth: depth hints, training from stereo pairs with all four parts, ground truth, evaluation.
#
#   bash configs/epcdepth/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/epcdepth/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/epcdepth/train.sh    the published recipe on KITTI: a GPU, days
#
#   MODEL=model18_lr|model18|model50    which of the published models (model18)
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/epcdepth model="${MODEL:-model18}"
if on_kitti; then
    _job_choice MODEL "$model" model18_lr model18 model50
    name="epcdepth_${backend}_$model" layers=resnet18
    [ "$model" != model50 ] || layers=resnet50
    prepare_kitti "$layers" --source forward_scan
    prepare_hints eigen_full "${png[@]}"
    train "$name" --config "$configs/$model.yml" --weights_init "$weights_init" "${png[@]}"
    evaluate "$name" 19 --protocol epcdepth_eigen --eval_stereo --post_process "${png[@]}"
else
    name="epcdepth_demo_$backend" epochs=2
    [ "$long" = 0 ] || name="epcdepth_long_$backend" epochs=10
    prepare_street
    prepare_hints "$split" --height 128 --width 416
    options=(--config $configs/demo.yml --split "$split")
    train "${name}_initial" "${options[@]}" --num_epochs 0
    train "$name" "${options[@]}" --num_epochs $epochs --scheduler_step_size $((epochs * 4 / 5 + 1))
    evaluate_street "before training=${name}_initial:initial" "trained=$name:$((epochs - 1))"
fi
