#!/usr/bin/env bash
# Neural ray surfaces: train with known rays and with rays that are learnt, compare range, rays and path with the truth.
#
#   bash configs/ray_surface/train.sh                             a street rendered through a fisheye, scaled to a CPU
#   bash configs/ray_surface/train.sh --long                      the same, trained longer
#   DATA_PATH=/path/to/omnicam TEMPLATE="dummy" bash configs/ray_surface/train.sh    the published recipe: a GPU, days
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
DEMO_DATA="${DEMO_DATA:-$(dirname "${BASH_SOURCE[0]}")/../../data/fisheye}"
. "$(dirname "${BASH_SOURCE[0]}")/../job.sh"

configs=configs/ray_surface
read -r -a template <<<"${TEMPLATE:-dummy}"
if on_kitti; then
    train "ray_surface_$backend" --config $configs/omnicam.yml --template "${template[@]}" "${png[@]}"
    exit
fi
epochs=4 name="ray_surface_demo_$backend"
[ "$long" = 0 ] || epochs=24 name="ray_surface_long_$backend"
step "render a street through a fisheye to $data"
"$PYTHON" render_drive.py --camera kannala_brandt --output "$data" --height 64 --width 96 --frames 32 --azimuths 16
split="$data/folder_splits" found=()
read -r test _ <"$split/test_files.txt" && test="$data/${test%/image_02/data}"
read -r training _ <"$split/train_files.txt" && training="$data/${training%/image_02/data}"
train "${name}_pinhole" --config $configs/pinhole.yml --split "$split" --num_epochs $epochs
train "${name}_known" --config $configs/demo.yml --split "$split" --num_epochs $epochs --template "$data/rays.npz" --no_learn_rays
train "${name}_learnt" --config $configs/demo.yml --split "$split" --num_epochs $epochs --template "${template[@]}"
for run in pinhole known learnt; do
    trained=(--backend "$backend" --load_weights_folder "$(weights "${name}_$run" $((epochs - 1)))")
    step "predict: $run" && more=() && [ $run != pinhole ] || more=(--intrinsics 0.5 0.75 0.5 0.5)
    "$PYTHON" predict.py "${trained[@]}" --image_path "$test/image_02/data" --save depth --output "$logs/$name/$run" "${more[@]}"
    "$PYTHON" evaluate_pose.py "${trained[@]}" --dataset folder --data_path "$test/image_02/data" --output "$logs/$name/$run"
    found+=("$run=$logs/$name/$run")
done
step "the result"
"$PYTHON" evaluate_rays.py --truth "$test/range/image_02" --training "$training/range/image_02" --rays "$data/rays.npz" \
    --template "${template[@]}" --images "$test/image_02/data" --output "$logs/$name" --predictions "${found[@]}"
