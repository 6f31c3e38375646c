#!/usr/bin/env bash
# Monodepthv2, the main job: pretrain, fine-tune at a higher resolution, export ground truth, evaluate both.
#
#   bash configs/monodepthv2/mdp.sh                             a rendered street, scaled to a CPU: minutes
#   bash configs/monodepthv2/mdp.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/kitti bash configs/monodepthv2/mdp.sh    the published recipe on KITTI: a GPU, many hours
#
#   MODE=mono|stereo|mono+stereo     what is learnt from (KITTI: mono+stereo; rendered street: stereo)
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"
configs=configs/monodepthv2
if on_kitti; then
    use_mode mono+stereo
    low="mdp_${backend}_${mode}_640x192" high="mdp_${backend}_${mode}_1024x320" epochs=20 scaling=--eval_stereo
    [ "$weights_init" = pretrained ] || epochs=30 # as published
    [ "$mode" != mono ] || scaling=--eval_mono
    [ "$mode" != stereo ] || sources+=(--split eigen_full)
    options=(--config $configs/mdp.yml "${sources[@]}" --weights_init "$weights_init" "${png[@]}")
    prepare_kitti resnet18
    train "$low" "${options[@]}" --num_epochs $epochs --keep_moments 9 # $high starts from there
    train "$high" "${options[@]}" --config $configs/mdp_1024x320.yml --load_weights_folder "$(weights "$low" 9)"
    evaluate "$low" $((epochs - 1)) --eval_split eigen $scaling "${png[@]}"
    evaluate "$high" 4 --eval_split eigen $scaling "${png[@]}"
else
    use_mode stereo
    name="demo_${backend}_$mode" epochs=4 tuning=2
    [ "$long" = 0 ] || name="long_${backend}_$mode" epochs=18 tuning=14
    # Nothing stands still between two cameras, and from scratch a masked pixel that predicts "far" never learns again.
    [ "$mode" != stereo ] || sources+=(--disable_automasking)
    prepare_street
    options=(--config $configs/demo.yml "${sources[@]}" --split "$split")
    train "${name}_initial" "${options[@]}" --num_epochs 0
    # In both steps the last fifth of the epochs, rounded up, has a tenth of the rate.
    train "${name}_320x96" "${options[@]}" --num_epochs $epochs --scheduler_step_size $((epochs * 4 / 5))
    options+=(--config $configs/demo_416x128.yml --load_weights_folder "$(weights "${name}_320x96" $((epochs - 1)))")
    train "${name}_416x128" "${options[@]}" --num_epochs $tuning --scheduler_step_size $((tuning * 4 / 5))
    evaluate_street "before training=${name}_initial:initial" "pretrained 320x96=${name}_320x96:$((epochs - 1))" \
        "fine-tuned 416x128=${name}_416x128:$((tuning - 1))"
fi
