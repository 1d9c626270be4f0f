"""The source of Grafana's dashboards in envoy-config/grafana."""
