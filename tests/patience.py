"""The longest that tests wait for other processes; a busy computer must not decide a result."""

from __future__ import annotations

from typing import Final

PATIENCE_SECONDS: Final = 180
