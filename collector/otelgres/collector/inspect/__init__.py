"""ROOM inspect."""
