"""One paper: its configs, its pairs, its statistics, its claims and its quirks."""
