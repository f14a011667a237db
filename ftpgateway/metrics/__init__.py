"""Metrics for Prometheus and health for balancers and supervisors, over HTTP.

`kind` is what the node is told of it. `requests` reads a request, pure; `answers` says what is answered; `server` is
the bounded HTTP server between them (docs/decisions/022-metrics-and-health.md).
"""
