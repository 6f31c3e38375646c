"""The PyTorch backend; `backends/paddle` has the same files, names and defaults."""
