"""Delivery tests: real processes are killed under load, then what was acknowledged is compared with SQL."""
