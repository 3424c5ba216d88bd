"""Every catalogue model, simulated by a map written on its own and polled over real sockets: the truth comes back."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from collectors.catalog import load_catalog, specs
from collectors.modbus import ModbusLink
from ingest.channel import is_counter
from simulators.layouts import LAYOUTS
from simulators.modbus import ModbusServer
from tests.collectors.modbus_rig import AT, line_to, patient_catalog, polled, simulated

CATALOG = load_catalog()
PATIENT = patient_catalog()


def test_every_model_is_simulated() -> None:
    assert set(CATALOG) == set(LAYOUTS)


@pytest.mark.parametrize("kind", ["modbus-tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("slug", list(CATALOG))
async def test_what_is_polled_is_what_the_meter_shows(slug: str, kind: str) -> None:
    unit = simulated(slug)
    async with ModbusServer({7: unit}, kind=kind) as server:
        link = ModbusLink(line_to(server, connect_pause=0.0, check_serial=True), PATIENT)
        await link.open()
        answer = await link.read(replace(polled(7, slug), serial=unit.meter.serial))
        await link.close()
    truth = unit.meter.values(AT)
    assert answer.rejects == ()
    assert answer.serial in (unit.meter.serial, None)
    compared = {spec.channel: spec.decimals for spec in specs(CATALOG[slug]) if spec.channel in truth}
    assert {"1.8.0", "32.7.0", "31.7.0", "1.7.0"} <= set(compared)
    for channel, decimals in compared.items():
        half_a_step = Decimal(0) if is_counter(channel) else Decimal(5).scaleb(-1 - decimals)
        assert abs(answer.values[channel] - truth[channel]) <= half_a_step, channel


async def test_a_limit_of_the_line_is_kept() -> None:
    unit = simulated("eastron-sdm630")
    async with ModbusServer({7: unit}) as server:
        link = ModbusLink(line_to(server, max_registers=10), PATIENT)
        await link.open()
        answer = await link.read(polled(7, "eastron-sdm630"))
        await link.close()
    assert unit.requests > 4
    assert answer.values["1.8.0"] == unit.meter.values(AT)["1.8.0"]
