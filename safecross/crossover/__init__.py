"""What is done with an alignment: interpolation, the curve between two networks, repair."""
