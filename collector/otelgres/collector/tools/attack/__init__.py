"""Attacks on a receiver that stay within the protocol: requests that are small to send and expensive to take."""
