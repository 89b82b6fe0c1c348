"""`python -m benchmarks.soak`: everything at once on a served API, for half an hour.

Readers, refreshes, deletions, nightly runs over exports that change, and tokens. Every reply is
compared with what was exported, and every process of the server and its data folder are watched.
"""
