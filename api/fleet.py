"""The fleet's rooms, for engineers, as one."""

from __future__ import annotations

from fastapi import APIRouter

from api import (
    fleet_browse,
    fleet_change,
    fleet_events,
    fleet_health,
    fleet_history,
    fleet_quarantine,
    fleet_reads,
    fleet_strangers,
)

router = APIRouter()
for part in (
    fleet_browse.router,
    fleet_change.router,
    fleet_change.files,
    fleet_events.router,
    fleet_health.router,
    fleet_history.router,
    fleet_reads.router,
    fleet_quarantine.router,
    fleet_strangers.router,
):
    router.include_router(part)
