"""The primitives, one file for each or for each small family."""
