"""Status and settings of a data folder as tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Group

from pipeline.model.states import RunState
from pipeline.settings import FILE, EffectiveSetting, SettingSource
from pipeline.storage.database import text_of
from pipeline.terminal.layout import properties, table
from pipeline.terminal.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from pipeline.model.findings import Finding
    from pipeline.runs.status import NightlyStatus, Status
    from pipeline.terminal.data_folder import DataFolderRule


def status(found: Status) -> RenderableType:
    """Show the last nightly run, then the queue and what is blocked, where there is any."""
    success = found.last_success_at
    retained = f", {found.retained:,} of them retained" if found.retained else ""
    deleted = f"; {found.deleted:,} deleted, see bufdir list --deleted" if found.deleted else ""
    shown: list[RenderableType] = [
        properties(
            {
                "last nightly run": _nightly(found.nightly),
                "last success": "never" if success is None else text_of(success),
                "snapshots": f"{found.snapshots:,} published{retained}{deleted}",
                "queue": counted(len(found.queue), "run"),
                "blocked": counted(len(found.blocked), "snapshot"),
            }
        )
    ]
    if found.queue:
        shown += ["", _queue(found)]
    if found.blocked:
        shown += ["", _blocked(found)]
    if found.damaged:
        rows = ((one.file, one.problem, one.remedy) for one in found.damaged)
        shown += ["", table(("damaged file", "problem", "remedy"), rows)]
    return Group(*shown)


def findings(found: Sequence[Finding]) -> RenderableType:
    """Show what an examination found, one subject a line, and what to do."""
    return table(
        ("subject", "state", "finding", "remedy"),
        ((one.subject, one.health, one.detail, one.remedy) for one in found),
    )


def _nightly(run: NightlyStatus | None) -> str:
    if run is None:
        return "none yet"
    text = f"{text_of(run.began_at)}, {run.state.value}"
    if run.state is not RunState.RUNNING and run.seconds is not None:
        text += f" after {counted(run.seconds, 'second') if run.seconds else 'less than a second'}"
    return text if run.error is None else f"{text}: {run.error}"


def _queue(found: Status) -> RenderableType:
    return table(
        ("id", "organisation", "period", "state", "source", "queued", "attempts"),
        (
            (
                *(run.id, run.org_id, run.reporting_period_id, run.state, run.source),
                *(text_of(run.queued_at), run.attempts),
            )
            for run in found.queue
        ),
    )


def _blocked(found: Status) -> RenderableType:
    rows = (
        (one.id or "", one.org_id, one.reporting_period_id, one.problem, one.remedy)
        for one in found.blocked
    )
    return table(("id", "organisation", "period", "problem", "remedy"), rows)


def settings(
    data: Path, rule: DataFolderRule | None, found: Sequence[EffectiveSetting]
) -> RenderableType:
    """Show the data folder and every setting, each with the place that decided it."""
    folder = f"{data} ({rule})" if rule else str(data)
    rows = ((one.name, _written(one.value), source(one)) for one in found)
    return Group(
        properties({"data folder": folder}), "", table(("setting", "value", "source"), rows)
    )


def _written(value: object) -> str:
    """Write a value as the settings file has it, whole numbers without a decimal."""
    if value is None:
        return "none"
    is_integral = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if is_integral else json.dumps(value, ensure_ascii=False)


def source(setting: EffectiveSetting) -> str:
    """Name the place that decided a setting: `default`, `bufdir.toml line 3` or a variable."""
    match setting.source:
        case SettingSource.VARIABLE:
            return str(setting.variable)
        case SettingSource.FILE:
            return f"{FILE} line {setting.line}"
        case SettingSource.DEFAULT:
            return "default"


def settings_body(
    data: Path, rule: DataFolderRule | None, found: Sequence[EffectiveSetting]
) -> Mapping[str, object]:
    """Describe the data folder and the settings for programs."""
    return {
        "data": data.as_posix(),
        "data_rule": rule and rule.value,
        "settings": {
            one.name: {
                "value": one.value,
                "source": one.source,
                "line": one.line,
                "variable": one.variable,
            }
            for one in found
        },
    }
