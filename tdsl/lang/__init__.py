"""The algorithm language: what to compute, and nothing about how."""
