"""One flow as a waterfall on a terminal. Refuses to know SQL beyond the names of its queries."""
