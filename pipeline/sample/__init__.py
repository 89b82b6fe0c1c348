"""Sample exports of any size: invented groups, their rows, and the files."""

from pipeline.sample.files import write

__all__ = ["write"]
