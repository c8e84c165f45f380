SELECT * FROM compat.terminal_reliability(%(since)s, %(until)s)
