"""End-to-end tests in real Envoys."""
