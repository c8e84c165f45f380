"""ROOM service."""
