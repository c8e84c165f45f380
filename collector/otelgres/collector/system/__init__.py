"""Uses of the operating system: listening sockets and locks on folders."""
