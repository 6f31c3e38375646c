"""Proofs that take minutes, programs and tests; CONTRIBUTING names their commands."""
