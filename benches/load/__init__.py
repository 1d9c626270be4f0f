"""Benchmarks in a real Envoy: `make bench`."""
