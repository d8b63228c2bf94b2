"""Benchmarks: every figure that the project states, by a command that anyone can run."""
