"""The life of the process: shutdown, and the hooks of exits, signals and forks."""
