"""The life cycle of the process: shutdown, and hooks for exit, signals and forks."""
