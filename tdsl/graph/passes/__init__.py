"""Rewrites of model graphs, a file each; `pipeline.py` is their table."""
