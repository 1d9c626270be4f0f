"""The source of the rules that have one form for every metric: envoy-config/prometheus/rules/workload.yaml."""
