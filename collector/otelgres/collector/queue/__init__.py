"""The queue before the database: group commit, the spool during outages, and its replay."""
