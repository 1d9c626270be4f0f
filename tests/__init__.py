"""The tests in Python; those in Rust are in native/."""
