"""Lists of snapshots: filtered, sorted and paged."""

from __future__ import annotations

from typing import Any

from pipeline.model.listing import Listing
from pipeline.runs import lifecycle
from tests.given import NOW, QUARTER, DataFolder, people, row


def test_lists_are_filtered_sorted_and_paged(folder: DataFolder) -> None:
    folder.export(
        [
            *people(3, org_id="org-b"),
            *people(1, org_id="org-a"),
            *people(2, org_id="org-c"),
            row(org_id="org-a", started_at=NOW),
        ]
    )
    folder.nightly()
    with folder.context() as context:
        lifecycle.create(context.catalog, "org-d", QUARTER, NOW)

        def ids(**listing: Any) -> list[str]:
            entries, _ = context.catalog.list(Listing(**listing))
            return [f"{entry.org_id} {entry.reporting_period_id}"[4:] for entry in entries]

        assert ids() == [
            "a rp-2025-q1",
            "a rp-2024-q4",
            "b rp-2024-q4",
            "c rp-2024-q4",
            "d rp-2024-q4",
        ]
        assert ids(sort="-created_at") == ids()  # all of one moment: ties go by id all the same
        assert ids(sort="-org_id")[0] == "d rp-2024-q4"
        assert ids(org_id="org-a") == ["a rp-2025-q1", "a rp-2024-q4"]
        assert ids(reporting_period_id="rp-2025-q1") == ["a rp-2025-q1"]
        assert ids(status="processing") == ["d rp-2024-q4"]
        assert ids(org_id="org-a", status="processing") == []
        assert ids(sort="-participant_count", limit=2) == [
            "b rp-2024-q4",
            "c rp-2024-q4",
        ]
        assert ids(sort="org_id", offset=2, limit=1) == ["b rp-2024-q4"]
        assert ids(sort="reporting_period_id")[-1] == "a rp-2025-q1"
        assert context.catalog.list(Listing(limit=1))[1] == 5
        assert context.catalog.list(Listing(org_id="org-a", limit=1))[1] == 2
