"""Istio's metrics on two stock Envoys, with an application and traffic: `make demo`."""
