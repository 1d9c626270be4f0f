"""What the plugin costs: see README.md."""
