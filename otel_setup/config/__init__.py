"""ROOM config."""
