#!/usr/bin/env bash
# PackNet-SAN: train prediction and completion in one network, export ground truth, evaluate both.
#
#   bash configs/packnet_san/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/packnet_san/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/packnet_san/train.sh    the published recipe on KITTI: a GPU, days
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/packnet_san
if on_kitti; then
    name="packnet_san_$backend"
    weights_init=scratch prepare_kitti none --split eigen_benchmark # the images with annotated depth
    train "$name" --config $configs/kitti.yml "${png[@]}"
    evaluate "$name" best --protocol packnet_top_center_annotated --eval_stereo \
        --input_depth velodyne "${png[@]}"
else
    name="packnet_san_demo_$backend" epochs=2
    [ "$long" = 0 ] || name="packnet_san_long_$backend" epochs=8
    prepare_street
    options=(--config $configs/demo.yml --split "$split")
    train "${name}_initial" "${options[@]}" --num_epochs 0
    train "$name" "${options[@]}" --num_epochs $epochs --scheduler_step_size $((epochs / 2))
    evaluate_street "before training=${name}_initial:initial" "prediction=$name:$((epochs - 1))"
    evaluate "$name" $((epochs - 1)) --eval_split "$split" --crop garg --eval_stereo --output "$logs/$name/completion.json" \
        --input_depth velodyne --input_depth_points 0.1 0.3 1
fi
