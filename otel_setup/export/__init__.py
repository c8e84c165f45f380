"""ROOM export."""
