"""Rollouts in a Kubernetes cluster.

places      the servers and the gateway, from environment variables
kubernetes  objects of the namespace
scaling     starts and stops the candidate servers
routes      divides requests without Envoy
counts      counts them without Envoy
"""
