"""Reports: what happened in a time, as sections of rows. Refuses to know where they are printed."""
