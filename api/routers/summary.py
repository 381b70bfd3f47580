"""The state of the whole in a few figures."""

from fastapi import APIRouter, Depends

from api.context import Context, ContextDep
from api.models import Count, FollowerLag, Summary
from api.parameters import refuse_parameters
from store.overview import count_waiting, follower_lags

router = APIRouter(prefix="/v1/summary", tags=["summary"])


@router.get("", dependencies=[Depends(refuse_parameters)])
def get_summary(context: ContextDep) -> Summary:
    """Readings stored and waiting, alerts, and how far the verifier lags behind."""
    return load_summary(context)


def load_summary(context: Context) -> Summary:
    """The figures at one moment."""
    bound = context.settings.count_max
    with context.reading() as conn:
        totals = context.totals(conn)
        waiting = count_waiting(conn, bound)
        lags = follower_lags(conn)
    counts = {name: Count(count=count, at_least=count >= bound) for name, count in waiting.items()}
    return Summary(
        batches=totals.batches,
        readings_stored=totals.stored,
        readings_duplicate=totals.duplicates,
        readings_conflicting=totals.conflicting,
        readings_rejected=totals.rejected,
        quarantined=counts["quarantined"],
        pending=counts["pending"],
        open_alerts=counts["open_alerts"],
        acknowledged_alerts=counts["acknowledged_alerts"],
        last_batch_at=totals.last_committed_at,
        followers=[FollowerLag.model_validate(row) for row in lags],
        software_version=context.software_version,
    )
