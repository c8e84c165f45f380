"""What the receiver asks of the operating system: listening sockets and locks on folders."""
