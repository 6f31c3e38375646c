"""The camera's path: trajectories in files, and their errors against the truth."""
