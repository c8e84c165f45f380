"""ROOM queue."""
