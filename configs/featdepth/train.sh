#!/usr/bin/env bash
# FeatDepth: an autoencoder, then depth by its features; ground truth, evaluation. Stages that are finished stay.
#
#   bash configs/featdepth/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/featdepth/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/featdepth/train.sh    the published recipe on KITTI: a GPU, days
#
#   MODEL=mono_fm|mono_fm_joint|baseline    in two stages, both at once, depth from images alone (mono_fm)
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/featdepth model="${MODEL:-mono_fm}"
_job_choice MODEL "$model" mono_fm mono_fm_joint baseline
if on_kitti; then
    prefix="featdepth_$backend" epochs=40 features=30 recipe=kitti_fm common=(--weights_init "$weights_init" "${png[@]}")
    prepare_kitti resnet50
    [ "$model" != mono_fm_joint ] || recipe=kitti_fm_joint
    images=("${common[@]}" --config $configs/kitti_autoencoder.yml) depth=("${common[@]}" --config $configs/$recipe.yml)
else
    prefix="featdepth_demo_$backend" epochs=1 features=1 wide=(--height 96 --width 288) # an autoencoder's least height
    [ "$long" = 0 ] || prefix="featdepth_long_$backend" epochs=16 features=3
    prepare_street
    depth=(--config $configs/demo.yml --split "$split") images=(--config $configs/demo.yml --split "$split" "${wide[@]}")
    [ "$model" != mono_fm_joint ] || depth+=("${wide[@]}")
fi
name="${prefix}_$model" depth+=(--model "$model" --extractor none)
if [ "$model" = mono_fm ]; then
    train "${prefix}_autoencoder" "${images[@]}" --model autoencoder --num_epochs $features
    depth+=(--extractor "$(weights "${prefix}_autoencoder" $((features - 1)))")
fi
if on_kitti; then
    train "$name" "${depth[@]}" --num_epochs $epochs
    evaluate "$name" $((epochs - 1)) --eval_split eigen --eval_stereo --variants "${png[@]}"
else
    train "${name}_initial" "${depth[@]}" --num_epochs 0
    train "$name" "${depth[@]}" --milestones $(((epochs * 3 + 3) / 4)) --num_epochs $epochs
    evaluate_street "before training=${name}_initial:initial" "trained=$name:$((epochs - 1))"
fi
