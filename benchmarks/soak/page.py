"""The results of a soak as a section of `RESULTS.md`."""

from __future__ import annotations

from benchmarks.report import machine, table
from benchmarks.soak import exports, samples
from benchmarks.soak.samples import Compared
from benchmarks.soak.soaking import WORKERS, Soaked

_HOW = """{minutes:g} minutes of {readers} readers, refreshes, deletions and undeletions, nightly
runs over exports that change, and tokens, all at once on {snapshots} snapshots, served by
{workers} workers. The numbers of each reply must be of one export, never older than an earlier
reply, and after a refresh as new as the exports when it was asked for. Statuses of 400 and more
are due only where a snapshot is deleted or a token has no right; refreshes (409) and nightly runs
(3) may fail only because exports changed each time they were read. At the end, all numbers are
those of the last exports and of a second engine, and the files are exactly those that the catalog
names."""
_RULE = """Means of the second quarter of the time and of the last one, sampled every five seconds.
Memory may grow by {share:.0%} and {more:,.0f} MB, each count by {count}."""
_GROWN = """The data folder without exports grew from {files:,} files and {size:,.1f} MB to
{files_after:,} files and {size_after:,.1f} MB: versions, the catalog and the audit log."""


def markdown(soaked: Soaked, today: str) -> str:
    """Write the section, in Markdown."""
    (files, size), (files_after, size_after) = soaked.sizes
    how = _HOW.format(
        minutes=soaked.seconds / 60,
        readers=soaked.readers,
        snapshots=len(exports.CELLS),
        workers=WORKERS,
    )
    more = samples.MEMORY_MORE / samples.MEGABYTE
    rule = _RULE.format(share=samples.MEMORY_SHARE, more=more, count=samples.COUNT_MORE)
    lines = [
        "## Everything at once, for long",
        "",
        f"Written on {today} by `make soak`, apart from the rest of this page.",
        "",
        how,
        "",
        f"{machine()}.",
        "",
        rule,
        "",
        *table(
            ("", "second quarter", "last quarter", "may be", "due"),
            (
                (one.name, *_shown(one), "yes" if one.is_due else "**no**")
                for one in soaked.compared
            ),
        ),
        "",
        _GROWN.format(
            files=files, size=size / 10**6, files_after=files_after, size_after=size_after / 10**6
        ),
        "",
        *table(
            ("what was done, and how it ended", "times"),
            ((name, f"{count:,}") for name, count in sorted(soaked.record.counts.items())),
        ),
        "",
        f"Breaches: {len(soaked.breaches) or 'none'}.",
    ]
    return "\n".join(lines) + "\n"


def _shown(one: Compared) -> tuple[str, ...]:
    if one.name.endswith("memory"):
        return tuple(f"{n / samples.MEGABYTE:,.1f} MB" for n in (one.before, one.after, one.most))
    return tuple(f"{number:,.1f}" for number in (one.before, one.after, one.most))
