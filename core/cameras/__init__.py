"""Cameras with one viewpoint: models by one interface, calibration files, templates of viewing rays, pictures of them.

Axes are x right, y down, z along the optical axis; pixel centres are at integers.
"""
