"""Depth hints: a depth for each target that stereo matching, or any other source, gives before training.

`files` says how they lie on disk, `matching` and `fusion` make them of a stereo pair, `foreign` of other depth,
`making` those of a whole list; `picture` shows one.
"""
