"""Exports of participations in, one trustworthy snapshot per organisation and period out."""
