"""The spool: on disk when `put` returns, in order, within bounds; after a kill, a torn write and a full disk too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collectors.spool import Item, Spool, SpoolFailed, SpoolFull

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "spool.sqlite"


@pytest.fixture
async def spool(path: Path) -> AsyncIterator[Spool]:
    async with Spool(path, MB) as opened:
        yield opened


def reading(meter: str, at: datetime, size: int = 10_000) -> Item:
    return Item(f"{meter} {at.isoformat()} ".encode().ljust(size, b"."), meter, at, at.date())


async def bodies(spool: Spool) -> list[bytes]:
    return [body for _, body in await spool.oldest(100_000)]


def instants(found: list[bytes], meter: str) -> list[datetime]:
    words = [body.decode().split() for body in found]
    return [datetime.fromisoformat(at) for name, at, *_ in words if name == meter]


async def test_it_gives_back_in_the_order_of_put_and_forgets_what_is_deleted(spool: Spool) -> None:
    assert (spool.depth(), spool.age(), await spool.oldest(5)) == (0, timedelta(0), [])
    ids = await spool.put([Item(b"one"), Item(b"two")])
    ids += await spool.put([Item(b"three")])
    assert ids == sorted(ids)
    assert await spool.oldest(2) == [(ids[0], b"one"), (ids[1], b"two")]
    assert await spool.oldest(2, after=ids[0]) == [(ids[1], b"two"), (ids[2], b"three")]
    assert spool.depth() == 3
    assert spool.age() > timedelta(0)
    await spool.delete([ids[0], ids[2], 10**9])
    assert await spool.oldest(5) == [(ids[1], b"two")]
    assert spool.depth() == 1


async def test_an_id_is_never_given_twice(path: Path) -> None:
    async with Spool(path) as spool:
        [first] = await spool.put([Item(b"one")])
        await spool.delete([first])
    async with Spool(path) as spool:
        assert await spool.put([Item(b"two")]) > [first]


async def test_only_its_owner_may_read_it(spool: Spool) -> None:
    await spool.put([Item(b"secret")])
    for file in spool.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_many_who_put_at_once_share_a_few_fsyncs(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = 0
    put = spool._file.put

    def counted(items: list[Item]) -> list[int]:
        nonlocal commits
        commits += 1
        return put(items)

    monkeypatch.setattr(spool._file, "put", counted)
    ids = await asyncio.gather(*(spool.put([Item(b"%d" % n)]) for n in range(500)))
    assert commits <= 3
    assert await bodies(spool) == [b"%d" % n for n in range(500)]
    assert [one for [one] in ids] == sorted(one for [one] in ids)


WRITER = """
import asyncio, sys
from pathlib import Path
from collectors.spool import Item, Spool

async def main():
    async with Spool(Path(sys.argv[1])) as spool:
        for n in range(10**6):
            await spool.put([Item(b"%d" % n)])
            print(n, flush=True)

asyncio.run(main())
"""


def killed_writer(path: Path, after: int) -> int:
    """The last item a writer said it had put before it was killed."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        said = [line for _, line in zip(range(after), writer.stdout, strict=False)]
    finally:
        writer.kill()
    said += list(writer.stdout)
    writer.stdout.close()
    writer.wait()
    return int(said[-1])


def tear(file: Path, share: float, size: int) -> None:
    """Write garbage into a file from this share of its length on."""
    with file.open("r+b") as opened:
        opened.seek(int(file.stat().st_size * share))
        opened.write(os.urandom(size))


async def test_what_was_put_survives_kill_9(path: Path) -> None:
    last = killed_writer(path, 50)
    async with Spool(path) as spool:
        found = [int(body) for body in await bodies(spool)]
    assert found in (list(range(last + 1)), list(range(last + 2)))  # one more may have been under way


async def test_a_torn_write_costs_only_what_was_never_confirmed(path: Path) -> None:
    last = killed_writer(path, 50)
    tear(Path(f"{path}-wal"), 1.0, 2500)  # the write that was under way: half a frame of garbage at the end
    async with Spool(path) as spool:
        assert [int(body) for body in await bodies(spool)][: last + 1] == list(range(last + 1))
        await spool.put([Item(b"more")])
        assert (await bodies(spool))[-1] == b"more"


async def test_a_damaged_file_is_put_aside_and_what_can_be_read_is_saved(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Spool(path) as spool:
        for n in range(40):
            await spool.put([Item(b"%d" % n + b"." * 3000)])
    tear(path, 0.5, 8192)
    async with Spool(path) as spool:
        found = await bodies(spool)
        assert 10 < len(found) <= 40
        assert all(body.rstrip(b".").isdigit() for body in found)
        assert spool.depth() == len(found)
    assert [one for one in path.parent.iterdir() if ".damaged-" in one.name]
    assert "is damaged" in caplog.text


async def test_a_file_that_is_no_spool_at_all_stops_nobody(path: Path) -> None:
    path.parent.mkdir()
    await asyncio.to_thread(path.write_bytes, b"no database " * 1000)
    async with Spool(path) as spool:
        await spool.put([Item(b"one")])
        assert await bodies(spool) == [b"one"]


LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from collectors.spool import Item, Spool, SpoolFailed

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with Spool(Path(sys.argv[1])) as spool:
        kept = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        try:
            while True:
                await spool.put([Item(b"%d" % kept + b"." * 20_000)])
                kept += 1
        except SpoolFailed as error:
            print(error.code, kept, spool.depth(), error, flush=True)
        assert kept == len(await spool.oldest(1000)), "what it had is still there"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await spool.put([Item(b"%d" % kept)])
        print(len(await spool.oldest(1000)))

asyncio.run(main())
"""


async def test_a_disk_that_takes_no_more_is_a_clear_error_that_costs_nothing_it_had(path: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", LIMITED, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    code, kept, depth, text = first.split(" ", 3)
    assert code in ("spool_failed", "spool_full")
    assert int(kept) == int(depth) > 3
    assert int(second) == int(kept) + 1
    assert str(path) in text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root and its leave")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def fill(spool: Spool) -> list[int]:
    """Put until it refuses; gives what it took."""
    ids: list[int] = []
    while len(ids) < 1000:
        try:
            ids += await spool.put([Item(b"." * 20_000)])
        except SpoolFull:
            return ids
    raise AssertionError("the disk has room for everything")


async def test_a_full_disk_is_told_as_such_and_takes_again_when_there_is_room(small_disk: Path) -> None:
    async with Spool(small_disk / "spool.sqlite") as spool:
        ids = await fill(spool)
        assert [one for one, _ in await spool.oldest(100)] == ids
        await spool.delete(ids[: len(ids) // 2])
        assert [one for one, _ in await spool.oldest(100)] == ids[len(ids) // 2 :]
        with pytest.raises(SpoolFull, match="is full; make room"):
            await spool.put([Item(b"." * 200_000)])
        await spool.delete(ids)
        assert (spool.depth(), await spool.oldest(100)) == (0, [])
        again = await fill(spool)
        assert len(again) >= len(ids) > 5
        assert again[0] > ids[-1]


def occupy(filler: Path) -> None:
    """Take all the room there is."""
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


async def test_a_disk_that_is_full_at_the_start_stops_nobody_and_is_used_when_it_has_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Spool(small_disk / "spool.sqlite") as spool:
        await spool.put([Item(b"one")])
    filler = small_disk / "filler"
    occupy(filler)
    async with Spool(small_disk / "spool.sqlite") as spool:
        with pytest.raises(SpoolFailed):
            await spool.put([Item(b"." * 50_000)])
        filler.unlink()
        await spool.put([Item(b"two")])
        assert await bodies(spool) == [b"one", b"two"]
    assert "nothing can be kept on disk for now" in caplog.text


async def test_a_full_spool_keeps_the_boundaries_of_each_day_and_register_longest(spool: Spool) -> None:
    """Ten days of two meters, 48 readings a day: ten times what it may hold."""
    taken: dict[str, dict[date, list[datetime]]] = {"a": {}, "b": {}}
    for half_hour in range(480):
        for meter in taken:
            at = NOON + timedelta(minutes=30 * half_hour)
            taken[meter].setdefault(at.date(), []).append(at)
            await spool.put([reading(meter, at)])
    found = await bodies(spool)
    assert spool.state().bytes <= MB
    told = {(one.series, one.day): one.items for one in await spool.lost()}
    for meter, days in taken.items():
        left = instants(found, meter)
        for day, all_of_day in days.items():
            kept = [at for at in left if at.date() == day]
            assert kept[0] == all_of_day[0], f"the first of {day} is kept longest"
            assert kept[-1] == all_of_day[-1], f"the last of {day} is kept"
            assert len(all_of_day) - len(kept) == told.get((meter, day), 0), "what was dropped is listed"
    assert {one.cause for one in await spool.lost()} == {"spool_full"}


async def test_the_oldest_of_the_others_go_last(spool: Spool) -> None:
    for half_hour in range(120):
        await spool.put([reading("a", NOON.replace(hour=0) + timedelta(minutes=10 * half_hour))])
    left = instants(await bodies(spool), "a")
    first_hole = next(n for n, at in enumerate(left) if at != left[0] + timedelta(minutes=10 * n))
    assert first_hole > 60


async def test_when_only_boundaries_are_left_the_last_of_a_day_goes_before_the_first_of_the_next(spool: Spool) -> None:
    days = 80
    for day in range(days):
        for hour in (0, 23):
            await spool.put([reading("a", NOON.replace(hour=hour) + timedelta(days=day))])
    left = instants(await bodies(spool), "a")
    assert len([at for at in left if at.hour == 0]) == days
    assert left[-1].hour == 23


async def test_it_refuses_when_nothing_may_be_dropped_and_says_what_to_do(spool: Spool) -> None:
    for _ in range(80):
        await spool.put([Item(b"." * 10_000)])
    depth = spool.depth()
    assert depth == len(await bodies(spool)) == 80
    with pytest.raises(SpoolFull, match="bring back what it waits for"):
        await spool.put([Item(b"." * 300_000)])
    assert spool.depth() == depth


async def test_one_that_does_not_fit_stops_nobody_who_put_beside_it(spool: Spool) -> None:
    results = await asyncio.gather(
        spool.put([Item(b"small")]), spool.put([Item(b"." * 2 * MB)]), spool.put([Item(b"too")]), return_exceptions=True
    )
    assert isinstance(results[1], SpoolFull)
    assert await bodies(spool) == [b"small", b"too"]


async def test_losses_are_told_once_and_those_after_that_again(spool: Spool) -> None:
    for minute in range(200):
        await spool.put([reading("a", NOON + timedelta(minutes=minute))])
    lost = await spool.lost()
    await spool.forget_lost(lost)
    assert await spool.lost() == []
    for minute in range(200, 400):
        await spool.put([reading("a", NOON + timedelta(minutes=minute))])
    again = await spool.lost()
    assert sum(one.items for one in again) > 100
    assert again[0].since > lost[0].since


async def test_past_the_age_only_boundaries_stay(path: Path) -> None:
    async with Spool(path, MB) as spool:
        await spool.put([reading("a", NOON + timedelta(minutes=n), 100) for n in range(10)])
        await spool.put([Item(b"no series")])
    with sqlite3.connect(path) as conn:
        conn.execute("UPDATE item SET put_at = put_at - 3600 * 1000000")
    conn.close()
    async with Spool(path, MB, max_age=timedelta(minutes=30)) as spool:
        await spool.put([reading("a", NOON + timedelta(days=1), 100)])
        left = instants([body for body in await bodies(spool) if body != b"no series"], "a")
        assert left == [NOON, NOON + timedelta(minutes=9), NOON + timedelta(days=1)]
        assert spool.depth() == 4
        [lost] = await spool.lost()
        assert (lost.cause, lost.items, lost.since) == ("spool_age", 8, NOON + timedelta(minutes=1))


async def test_an_alert_is_raised_before_the_limit_and_ended(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    ids: list[int] = []
    while not spool.state().alert:
        ids += await spool.put([reading("a", NOON + timedelta(minutes=len(ids)))])
        assert spool.state().bytes < MB
    assert caplog.text.count("of its limit") == 1
    assert await spool.lost() == []
    await spool.delete(ids)
    assert not spool.state().alert
    assert "below its alert again" in caplog.text


async def test_a_caller_who_gives_up_does_not_hold_up_the_others(spool: Spool) -> None:
    waiting = asyncio.create_task(spool.put([Item(b"one")]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await spool.put([Item(b"two")])
    assert b"two" in await bodies(spool)
