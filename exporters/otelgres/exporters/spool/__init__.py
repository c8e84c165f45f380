"""The durable queue in files, on the side of applications and of the receiver."""
