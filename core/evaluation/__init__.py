"""Depth metrics: protocols, tables, saved disparities, the report."""
