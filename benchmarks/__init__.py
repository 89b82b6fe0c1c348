"""Benchmarks of the pipeline and the API, compared with other programs: `make bench`."""
