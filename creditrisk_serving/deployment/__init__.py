"""Bringing the service to where it runs: a release on ECS, verified from outside, and the package for SageMaker."""
