"""The one configuration: `bufdir.toml` in the data folder, and `BUFDIR_*` variables over it.

Read once, when a command starts, and passed on as a value. Refuses what it does not know, by name.
"""

from pipeline.settings.provenance import EffectiveSetting, SettingSource, effective
from pipeline.settings.reading import DATA_VARIABLE, FILE, LOG_LEVEL_VARIABLE, PREFIX, load
from pipeline.settings.schema import (
    AccessSettings,
    EngineSettings,
    ExportSettings,
    ExportsSettings,
    Kind,
    LogSettings,
    RunSettings,
    Settings,
)
from pipeline.settings.sources import SourceSettings

__all__ = [
    "DATA_VARIABLE",
    "FILE",
    "LOG_LEVEL_VARIABLE",
    "PREFIX",
    "AccessSettings",
    "EffectiveSetting",
    "EngineSettings",
    "ExportSettings",
    "ExportsSettings",
    "Kind",
    "LogSettings",
    "RunSettings",
    "SettingSource",
    "Settings",
    "SourceSettings",
    "effective",
    "load",
]
