"""Settings: arguments and environment variables resolved to frozen objects."""
