"""Rules on the structure of an algorithm: how to recognise a group of blocks, and schedule it."""
