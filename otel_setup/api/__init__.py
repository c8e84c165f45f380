"""ROOM api."""
