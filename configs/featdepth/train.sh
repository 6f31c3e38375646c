#!/usr/bin/env bash
# FeatDepth: an autoencoder, then depth by its features; ground truth, evaluation. Stages that are finished stay.
#
#   bash configs/featdepth/train.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/featdepth/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/featdepth/train.sh    the published recipe on KITTI: a GPU, days
#
#   MODEL=mono_fm|mono_fm_joint|baseline    in two stages, both at once, depth from images alone (mono_fm)
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
    prefix="featdepth_demo_$backend" epochs=4 features=1 wide=(--height 96 --width 288) # an autoencoder's least height
    [ "$long" = 0 ] || prefix="featdepth_long_$backend" epochs=16 features=3
    prepare_street
    depth=(--config $configs/demo.yml --split "$split") images=(--config $configs/demo.yml --split "$split" "${wide[@]}")
    [ "$model" != mono_fm_joint ] || depth+=("${wide[@]}")
fi
name="${prefix}_$model" depth+=(--model "$model" --extractor none)
if [ "$model" = mono_fm ]; then
    stage "${prefix}_autoencoder" $features "${images[@]}" --model autoencoder
    depth+=(--extractor "$(weights "${prefix}_autoencoder" $((features - 1)))")
fi
if on_kitti; then
    stage "$name" $epochs "${depth[@]}"
    evaluate "$name" $((epochs - 1)) --eval_split eigen --eval_stereo --variants "${png[@]}"
else
    stage "${name}_initial" 0 "${depth[@]}"
    stage "$name" $epochs "${depth[@]}" --milestones $((epochs * 3 / 4))
    evaluate_street "before training=${name}_initial:initial" "trained=$name:$((epochs - 1))"
fi
