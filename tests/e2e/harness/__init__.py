"""Runs real Envoys with the two modules and reads what they export."""
