#!/usr/bin/env bash
# SC-Depth: train from video alone, export ground truth, evaluate.
#
#   bash configs/sc_depth/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/sc_depth/train.sh --long                      the same, trained longer, and fine-tuned at 320x96
#   DATA_PATH=/path/to/kitti bash configs/sc_depth/train.sh    the official recipe on KITTI: a GPU, a day
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/sc_depth
if on_kitti; then
    name="sc_depth_${backend}_832x256"
    prepare_kitti resnet18
    train "$name" --config $configs/kitti.yml --weights_init "$weights_init" "${png[@]}"
    evaluate "$name" best --protocol sc_depth --eval_mono "${png[@]}"
else
    name="sc_depth_demo_$backend" epochs=2 tuning=0
    [ "$long" = 0 ] || name="sc_depth_long_$backend" epochs=4 tuning=2
    prepare_street
    options=(--config $configs/demo.yml --split "$split")
    train "${name}_initial" "${options[@]}" --num_epochs 0
    train "${name}_192x64" "${options[@]}" --num_epochs $epochs
    rows=("before training=${name}_initial:initial" "192x64=${name}_192x64:$((epochs - 1))")
    if [ "$tuning" != 0 ]; then
        options+=(--config $configs/demo_320x96.yml --load_weights_folder "$(weights "${name}_192x64" $((epochs - 1)))")
        train "${name}_320x96" "${options[@]}" --num_epochs $tuning
        rows+=("fine-tuned 320x96=${name}_320x96:$((tuning - 1))")
    fi
    evaluate_street "${rows[@]}"
fi
