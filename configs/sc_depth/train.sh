#!/usr/bin/env bash
# SC-Depth: train from video alone, export ground truth, evaluate.
#
#   bash configs/sc_depth/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/sc_depth/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/sc_depth/train.sh    the official recipe on KITTI: a GPU, a day
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/sc_depth
if on_kitti; then
    name="sc_depth_${backend}_832x256"
    prepare_kitti resnet18
    train "$name" --config $configs/kitti.yml --weights_init "$weights_init" "${png[@]}"
    evaluate "$name" best --protocol sc_depth --eval_mono "${png[@]}"
else
    name="sc_depth_demo_$backend" epochs=2
    [ "$long" = 0 ] || name="sc_depth_long_$backend" epochs=6
    prepare_street
    options=(--config $configs/demo.yml --split "$split")
    train "${name}_initial" "${options[@]}" --num_epochs 0
    train "$name" "${options[@]}" --num_epochs $epochs
    evaluate_street "before training=${name}_initial:initial" "trained=$name:$((epochs - 1))"
fi
