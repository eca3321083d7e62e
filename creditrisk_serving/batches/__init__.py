"""Scoring files of applications, apart from the running service: inputs, rules, features, output, record in the decision log."""
