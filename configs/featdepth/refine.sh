#!/usr/bin/env bash
# Online refinement: what train.sh has trained goes on learning ON THE IMAGES THAT IT IS MEASURED ON, without their depth.
#
#   bash configs/featdepth/refine.sh                             after train.sh: the test drive of the rendered street
#   bash configs/featdepth/refine.sh --long                      after train.sh --long
#   DATA_PATH=/path/to/kitti bash configs/featdepth/refine.sh    after that of KITTI: 20 epochs on the Eigen test list
#
# Reports and tables mark the row "refined on the test frames": it is not to be compared with others.
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/featdepth epochs=1 start=featdepth_demo_$backend
[ "$long" = 0 ] || epochs=16 start=featdepth_long_$backend
! on_kitti || epochs=40 start=featdepth_$backend
begun="${start}_mono_fm" name="${start}_refined"
[ -d "$(weights "$begun" $((epochs - 1)))" ] ||
    _job_fail "$(weights "$begun" $((epochs - 1))): not there; train it first, by configs/featdepth/train.sh"
from=(--load_weights_folder "$(weights "$begun" $((epochs - 1)))" --no_validation)
if on_kitti; then
    prepare_kitti
    train "$name" --config $configs/kitti_fm_refine.yml "${from[@]}" "${png[@]}"
    evaluate "$name" 59 --eval_split eigen --eval_stereo --variants "${png[@]}"
else
    prepare_street
    train "$name" --config $configs/demo.yml --split "$split/test_files.txt" "${from[@]}" --validation_split "$split" \
        --learning_rate 1e-4 --warmup_steps 0 --num_epochs 5
    evaluate_street "trained=$begun:$((epochs - 1))" "online refinement=$name:4"
fi
