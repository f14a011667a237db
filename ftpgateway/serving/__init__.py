"""What front-ends share: listeners, connections, balancers, the logs of refusals and transfers."""
