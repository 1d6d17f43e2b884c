"""What a job becomes for the bench: its campaign read against the rig of today, and where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.campaign.archives import taken_along
from orchestrator.campaign.header import Overrides, loaded_from
from orchestrator.daemon.bench import Assignment
from orchestrator.journal.journal import Journal
from orchestrator.journal.store import remove

if TYPE_CHECKING:
    from orchestrator.campaign.steering import Wish
    from orchestrator.daemon.ledger import Job, Volumes
    from orchestrator.daemon.present import Place


def assignment(
    place: Place, job: Job, missing_ul: Volumes, *, resume: bool, first: Wish | None
) -> tuple[Assignment, int]:
    """The sitting that a job is, and how many of its events have been heard already.

    ``first``: a wish to end it before it goes on. Raises ConfigError, JournalError.
    """
    seen, head, path = 0, None, place.journal_of(job.job)
    overrides = Overrides(**job.overrides)
    if resume:
        with Journal.open(path, readonly=True) as journal:
            head = next(journal.events(), None)
            seen = journal.seq
        Journal.check_free(path)
        if head is None:
            remove(path)  # killed between the file's making and its first event: it holds nothing
    resume = head is not None
    if first is None or not resume:  # what is only to be ended need not fit the rig of today
        put = overrides.repeated if resume else overrides.applied
        loaded = put(place.parsed(job.text, job.file))
    if head is not None:
        loaded = loaded_from(head.data)
    archives = () if resume else tuple(taken_along(loaded, job.archives))
    return Assignment(job.job, loaded, path, resume, overrides, missing_ul, first, archives), seen
