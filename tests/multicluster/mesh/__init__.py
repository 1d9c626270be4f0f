"""A mesh over two Kubernetes clusters in Docker: its configuration, its life, its traffic, its Prometheis."""
