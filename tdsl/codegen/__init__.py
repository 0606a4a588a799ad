"""Code generators: each turns lowered IR into text or objects, and nothing else."""
