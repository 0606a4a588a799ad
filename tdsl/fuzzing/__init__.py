"""The fuzzer: random legal schedules of an algorithm, checked against what it means."""
