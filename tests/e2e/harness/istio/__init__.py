"""Istio and Envoy Gateway as far as the project's samples for them need it.

There is no Kubernetes here. `samples` reads the resources that a user would
apply, `crds` checks them against the published schemas, `control_plane` makes of
them and of Istio-shaped proxies (`proxies`) what istiod would send, `agent` what
Envoy gets to see of it, and a real Envoy runs that.
"""
