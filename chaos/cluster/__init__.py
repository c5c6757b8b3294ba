"""The only door to the Kubernetes API: connect, read, write, watch; and the world of a drill in a cluster."""
