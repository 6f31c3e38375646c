"""Readers of weight files, `{name: ndarray}`: they execute nothing and import no framework."""
