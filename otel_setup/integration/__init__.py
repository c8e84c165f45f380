"""ROOM integration."""
