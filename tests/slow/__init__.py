"""Proofs that take many minutes, each a program of its own; CONTRIBUTING names their commands."""
