"""Confinement: work that a hostile file can end is done in child processes with bounds."""
