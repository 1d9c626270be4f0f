"""A mesh over two Kubernetes clusters in Docker."""
