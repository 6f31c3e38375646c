"""The photometric term of views that are rebuilt through rays (Vasiljevic et al. 2020, section 3.4)."""

import paddle
from paddle import Tensor

from backends.paddle.losses.multiscale import PhotometricSettings, error_maps, reduced, view_of
from backends.paddle.losses.ray_projection import ProjectionSettings, project_rays, sampled
from backends.paddle.losses.reprojection import minimum_error

UNSEEN = 1e6  # error of what does not count, where the least of several does


def ray_photometric_loss(
    disparities: list[Tensor],
    rays: Tensor,
    target: Tensor,
    sources: list[Tensor],
    motions: list[Tensor],
    settings: PhotometricSettings,
    projection: ProjectionSettings,
    valid: Tensor | None = None,
) -> tuple[Tensor, list[list[Tensor]], list[list[Tensor]]]:
    """The photometric term, a scalar.

    Args:
        disparities: (B, 1, H, W) each of the scales that count, 1 / range, enlarged to full size.
        rays: (B, 3, H, W) of the target and its sources.
        target, sources: (B, 3, H, W) in [0, 1], their colours as they are.
        motions: T_source_target (B, 4, 4) of each source.
        settings: of the term; no padding is ever seen.
        projection: of the points.
        valid: (1 or B, 1, H, W), 1 where the template has a ray; elsewhere nothing counts. None: everywhere.

    Returns:
        The loss; per scale the errors: source 0 warped, unwarped where they are masked, source 1 warped, …; and per
        scale the warped sources.
    """
    grids, seen = project_rays(disparities, rays, motions, projection, valid)
    view = view_of(target, sources, target.shape[2], target.shape[3], settings)
    losses, errors, warped = [], [], []
    for grids_of_scale, seen_of_scale in zip(grids, seen, strict=True):
        views = [sampled(source, grid) for source, grid in zip(sources, grids_of_scale, strict=True)]
        maps = error_maps(views, view, settings)
        if valid is None and not projection.mask_unseen:
            losses.append(reduced(maps, settings.minimum))
        else:
            counted = _counted(maps, seen_of_scale if projection.mask_unseen else None, valid)
            losses.append(masked(maps, counted, settings.minimum))
        errors.append(maps)
        warped.append(views)
    return paddle.stack(losses).mean(), errors, warped


def _counted(maps: list[Tensor], seen: list[Tensor] | None, valid: Tensor | None) -> list[Tensor]:
    """Where each error map counts, (B, 1, H, W); unwarped sources are seen everywhere."""
    everywhere = paddle.ones_like(maps[0][:, :1], dtype="bool")
    if valid is not None:
        everywhere = everywhere & (valid > 0)
    if seen is None:
        return [everywhere] * len(maps)
    rest = [everywhere] * (len(maps) // len(seen) - 1)
    return [one for each in seen for one in (everywhere & each, *rest)]


def masked(errors: list[Tensor], counted: list[Tensor], minimum: bool) -> Tensor:
    """`reduced` over the pixels where a map counts, (B, 1, H, W); 0 where none does anywhere."""
    if minimum:
        held = [
            paddle.where(where, error, paddle.full_like(error, UNSEEN))
            for error, where in zip(errors, counted, strict=True)
        ]
        least = minimum_error(paddle.concat(held, axis=1), None)[0]
        return _mean(least, paddle.concat(counted, axis=1).any(axis=1, keepdim=True))
    means = [
        _mean(error.mean(axis=1, keepdim=True), where) for error, where in zip(errors, counted, strict=True)
    ]
    return paddle.stack(means).mean()


def _mean(error: Tensor, where: Tensor) -> Tensor:
    """Of (B, 1, H, W) over some pixels."""
    kept = paddle.where(where, error.reshape(where.shape), paddle.zeros_like(error).reshape(where.shape))
    return kept.sum() / paddle.clip(where.astype(error.dtype).sum(), min=1)
