#!/usr/bin/env bash
# One row of the table of all methods in configs/README.md: from scratch, 480 processor seconds on the rendered street.
#
#   bash configs/compare.sh METHOD            the row goes to configs/compare/METHOD_BACKEND_SEED.json
#   bash configs/compare.sh METHOD --small    a trial of a minute on a tiny street; the row goes to LOG_DIR/compare_small
#   .venv/bin/python -m benchmarks.compare    prints the table of all rows; --update writes it into the READMEs
#
#   METHOD                           monodepth2, sc_depth, …; benchmarks/compare.py has further rows (packnet_semi)
#   SEED=0                           of weights, order and augmentation
#   COMPARE_SECONDS=480              processor seconds of all stages together
#   OMP_NUM_THREADS=1                one thread, unless told otherwise; a row says how many
[ -n "${BASH_VERSION:-}" ] || { echo "error: call it with bash: bash $0" >&2; exit 2; }
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
row="" small=0 words=()
for word in "$@"; do
    case "$word" in
        --small) small=1 ;;
        -*) words+=("$word") ;;
        *) row="$row$word" ;;
    esac
done
set -- "${words[@]}"
. "$(dirname "${BASH_SOURCE[0]}")/job.sh"

[ -n "$row" ] || _job_fail "no method: bash configs/compare.sh METHOD"
! on_kitti || _job_fail "DATA_PATH=$DATA_PATH: rows are of the rendered street alone; unset it (DEMO_DATA names the street)"
options=(--backend "$backend" --seed "${SEED:-0}")
if [ "$small" = 0 ]; then
    prepare_street
    options+=(--seconds "${COMPARE_SECONDS:-480}")
else
    data="${demo_data:-$logs/compare_small/street}"
    "$PYTHON" render_drive.py --output "$data" --height 64 --width 192 --azimuths 100 --samples 1 --frames 8 \
        --val_frames 3 --test_frames 4 --train_drives 1
    "$PYTHON" export_gt_depth.py --data_path "$data" --split "$data/splits"
    logs="$logs/compare_small"
    options+=(--seconds "${COMPARE_SECONDS:-40}" --output "$logs")
fi
step "the row of $row"
"$PYTHON" -m benchmarks.compare "$row" --data_path "$data" --log_dir "$logs" "${options[@]}"
