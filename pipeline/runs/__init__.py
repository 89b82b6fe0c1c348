"""Verbs: gather, plan, publish, nightly, run, check, verify, reindex."""
