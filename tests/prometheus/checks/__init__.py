"""Checks of rules and dashboards against any Prometheus.

`dashboards.without_data(query)` and `rules.without_data(query)` need nothing but
a function from an expression to its result: see `server.Prometheus.query`.
"""
