"""Benchmarks: each measures the relay beside its peers and its limits, in the same run."""
