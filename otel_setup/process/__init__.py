"""ROOM process."""
