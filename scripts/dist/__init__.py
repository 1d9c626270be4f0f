"""What is released: `make dist`."""
