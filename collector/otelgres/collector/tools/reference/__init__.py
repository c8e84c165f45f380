"""Generates the reference pages from the comments in the database and the docstrings of the settings."""
