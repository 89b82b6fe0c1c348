"""Runs in processes of their own: who starts them, who supervises them, and what they execute."""
