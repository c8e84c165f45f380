"""Alerts without Grafana: the rules are SQL (``otel.alerts()``); here is when somebody is told, and how.

Refuses to know what a rule measures.
"""
