"""What `make dist` makes."""
