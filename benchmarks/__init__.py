"""Benchmarks: each prints its figure, the floor it is compared with in the same run, and the ratio."""
