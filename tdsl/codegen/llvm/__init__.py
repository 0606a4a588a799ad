"""LLVM code generation for CPUs: `stages` leads from a scheduled program to text, `compile` on.

What a build that finds its object in the cache needs is in `host` and `compile`; the rest stays
unloaded until something is compiled.
"""
