"""Whether two backends compute the same thing: `check_parity.py` asks, `backends/<each>/parity.py` answers.

`request` makes what both are given, `processes` runs them, `results` holds what they return, `comparison` measures
how far apart it is, `bounds` says how far it may be, `certificate` writes it down. NumPy only.
"""
