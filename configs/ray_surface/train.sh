#!/usr/bin/env bash
# Neural ray surfaces: train with known rays and with rays that are learnt, compare range and rays with the truth.
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
epochs=6 name="ray_surface_demo_$backend"
[ "$long" = 0 ] || epochs=24 name="ray_surface_long_$backend"
step "render a street through a fisheye to $data"
"$PYTHON" render_drive.py --camera kannala_brandt --output "$data" --height 96 --width 96 --azimuths 200
split="$logs/${name}_lists" && mkdir -p "$split"
for part in train val test; do # of the left camera, by the folders of its images
    sed -n 's# \([0-9]*\) l$#/image_02/data \1#p' "$data/splits/${part}_files.txt" >"$split/${part}_files.txt"
done
test="$data/$(sed -n '1s#/image_02.*##p' "$split/test_files.txt")" training="$data/$(sed -n '1s#/image_02.*##p' "$split/train_files.txt")"
options=(--split "$split" --num_epochs $epochs)
train "${name}_pinhole" --config $configs/pinhole.yml "${options[@]}"
train "${name}_known" --config $configs/demo.yml "${options[@]}" --template "$data/rays.npz" --no_learn_rays
train "${name}_learnt" --config $configs/demo.yml "${options[@]}" --template "${template[@]}"
for run in pinhole known learnt; do
    more=()
    [ $run != pinhole ] || more=(--intrinsics 0.5 0.5 0.5 0.5)
    step "predict: $run"
    "$PYTHON" predict.py --backend "$backend" --load_weights_folder "$(weights "${name}_$run" $((epochs - 1)))" --save depth \
        --image_path "$test/image_02/data" --output "$logs/$name/$run" "${more[@]}"
done
step "the result"
"$PYTHON" evaluate_rays.py --truth "$test/range/image_02" --training "$training/range/image_02" --rays "$data/rays.npz" \
    --template "${template[@]}" --images "$test/image_02/data" --output "$logs/$name" \
    --predictions pinhole="$logs/$name/pinhole" known="$logs/$name/known" learnt="$logs/$name/learnt"
