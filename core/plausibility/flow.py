"""How much the images of a video may move from one to the next, as far as images alone show it."""

# Of the optical flow, as shares of the width: between them video teaches depth well.
LEAST_MOTION, MOST_MOTION = 0.5 / 640, 0.08


def advice_on_motion(typical: float) -> str:
    """What to say of the median optical flow between neighbours, a share of the width; nothing where it is good."""
    if typical < LEAST_MOTION:
        return (
            "; LITTLE: nothing is learned from it; choose farther frames, or make_split.py --skip_static 0.5"
        )
    if typical > MOST_MOTION:
        return "; MUCH: neighbours hardly overlap; take more frames per second"
    return ""
