"""What is native: the thread pool and the allocator, the loader, and the call path of kernels."""
