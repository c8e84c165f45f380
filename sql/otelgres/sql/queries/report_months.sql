SELECT * FROM compat.execution_months(%(since)s, %(until)s)
