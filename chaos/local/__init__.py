"""A real world on one machine: replicas are processes, the router is an Envoy, all on loopback."""
