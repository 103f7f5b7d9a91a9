"""Timings of the package against its peers and against the machine's own limits."""
