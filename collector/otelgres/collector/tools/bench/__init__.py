"""Measurements of the whole way, from real requests to committed rows: what `otelgres bench` runs.

Everything measured runs in a process of its own. Refuses to know how results are printed.
"""
