SELECT * FROM compat.phase_reliability(%(since)s, %(until)s)
