"""Between acceptance and storage: group commit, and the spool while the database is away."""
