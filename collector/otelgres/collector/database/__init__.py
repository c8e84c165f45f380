"""ROOM database."""
