"""The receiver's own metrics and where they are published."""
