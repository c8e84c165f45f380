"""One flow as a waterfall on a terminal."""
