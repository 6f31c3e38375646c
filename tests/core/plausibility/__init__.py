"""What data can be."""
