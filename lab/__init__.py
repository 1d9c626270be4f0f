"""What the demo, the tests and the benches share: processes, configurations for Envoy, what it says, waiting for it."""
