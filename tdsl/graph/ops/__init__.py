"""Operators of model graphs, a file for each family: attributes, and a tensor expression."""
