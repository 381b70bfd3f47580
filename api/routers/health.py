"""Probes: is the process alive, and is it fit to serve?"""

import logging

import psycopg
from fastapi import APIRouter, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

from api.context import Context, ContextDep
from api.models import FollowerLag
from metrology.errors import MeterproofError
from store.migrate import pending_migrations
from store.overview import follower_lags

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])


class Liveness(BaseModel):
    """The process answers."""

    status: str = "alive"
    software_version: str


class Readiness(BaseModel):
    """Whether the interface can serve, and what stands in the way."""

    ready: bool
    database: str = Field(description="`reachable` or `unreachable`.")
    migrations: str = Field(description="`current`, `pending` or `unknown`.")
    pending_migrations: list[str] = Field(default_factory=list)
    followers: list[FollowerLag] = Field(default_factory=list)
    remedy: str = ""


@router.get("/livez")
def get_livez(context: ContextDep) -> Liveness:
    """The process is alive; says nothing of the database."""
    return Liveness(software_version=context.software_version)


@router.get("/readyz", responses={503: {"model": Readiness}})
def get_readyz(context: ContextDep, response: Response) -> Readiness:
    """200 where the database answers with a current schema, 503 otherwise; the lag is told, it decides nothing."""
    readiness = check_readiness(context)
    if not readiness.ready:
        response.status_code = 503
    return readiness


def check_readiness(context: Context) -> Readiness:
    """Looks at the database."""
    try:
        with context.reading() as conn:
            pending = pending_migrations(conn)
            if pending:
                remedy = "run `meterproof migrate`"
                return Readiness(
                    ready=False,
                    database="reachable",
                    migrations="pending",
                    pending_migrations=pending,
                    remedy=remedy,
                )
            lags = [FollowerLag.model_validate(row) for row in follower_lags(conn)]
            return Readiness(ready=True, database="reachable", migrations="current", followers=lags)
    except MeterproofError as error:  # the schema is not ours, or newer
        return Readiness(ready=False, database="reachable", migrations="unknown", remedy=str(error))
    except (psycopg.Error, PoolTimeout) as error:
        logger.warning("not ready: %s", error)
        remedy = "check the server and the setting database.dsn"
        return Readiness(ready=False, database="unreachable", migrations="unknown", remedy=remedy)
