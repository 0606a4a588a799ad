"""Running compiled kernels: calls, threads, memory, devices, and the object cache."""
