"""One reader per layout of a data set."""
