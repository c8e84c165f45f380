"""Reports on a period, as sections of rows, in several formats."""
