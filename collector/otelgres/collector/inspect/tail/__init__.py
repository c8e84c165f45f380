"""Follows committed rows with NOTIFY and a cursor that neither skips nor repeats rows."""
