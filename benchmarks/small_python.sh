#!/usr/bin/env bash
# A Python for the trial of benchmarks/gpu.sh: SMALL_PYTHON, but a drive that it renders is small.
case "${1:-}" in
    render_drive.py)
        set -- "$@" --height 64 --width 128 --samples 1 --azimuths 200 \
            --train_drives 1 --frames 4 --val_drives 1 --val_frames 3 --test_frames 3
        ;;
esac
exec "$SMALL_PYTHON" "$@"
