"""ROOM processors."""
