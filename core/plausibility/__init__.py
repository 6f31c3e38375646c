"""What data can be: every physical bound of the toolbox, once, with its reason, as checks by name.

What is beyond the possible ends a command in one line; what is only unlikely is a warning of one line. `--accept NAME`
takes the data as they are, see `core.plausibility.checks`.
"""
