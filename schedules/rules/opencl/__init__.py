"""Rules for OpenCL devices: work-groups, local memory, private tiles."""
