"""ROOM sdk."""
