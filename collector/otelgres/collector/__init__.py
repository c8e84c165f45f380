"""The receiver process and its command line. Never imports ``otel_setup``: applications and receivers share no code."""
