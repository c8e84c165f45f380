"""The current state on one screen."""
