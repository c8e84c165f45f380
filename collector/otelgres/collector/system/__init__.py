"""ROOM system."""
