"""Proposals of settings for a file: the only room in which anything is guessed.

A proposal is text for a person, who reads it, corrects it and puts it into the settings. Nothing
here decides how an export is read, and no run uses it. Never shows a value of a participant.
"""
