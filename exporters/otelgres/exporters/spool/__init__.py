"""ROOM spool."""
