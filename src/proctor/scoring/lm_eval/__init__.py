"""Scoring as lm-evaluation-harness does it, digit for digit: filters, metrics, aggregations."""
