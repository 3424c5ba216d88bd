"""A collector's own folder: for one process, its fleet and lease readable by nobody else, and back after a start."""

from __future__ import annotations

import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collectors.home import Home, orphans, own_home
from ingest.errors import Misconfigured
from ingest.model import Line, Polled, PolledLine

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FLEET = [
    PolledLine(
        Line("tp-1", "mercury", "10.0.0.1:4001", {"baud": 9600, "password": "111111"}),
        (Polled("m1", "mercury-230", "17", timedelta(minutes=30), "Europe/Samara", {"password": "222222"}),),
    )
]


def test_a_second_process_takes_the_next_folder_and_the_first_its_own_again(tmp_path: Path) -> None:
    with own_home(tmp_path) as one:
        with own_home(tmp_path) as two:
            assert (one.folder.name, two.folder.name) == ("1", "2")
        with own_home(tmp_path) as again:
            assert again.folder == two.folder
    with own_home(tmp_path) as one:
        assert one.folder.name == "1"


def test_left_spools_are_those_of_nobody(tmp_path: Path) -> None:
    with own_home(tmp_path) as mine, own_home(tmp_path) as other:
        for home in (mine, other):
            home.spool.touch()
        with orphans(tmp_path) as found:
            assert found == []
    with own_home(tmp_path), orphans(tmp_path) as found:
        assert found == [other.spool]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"AMR_SPOOL .*file.* cannot be used"), own_home(tmp_path / "file"):
        pass


def test_the_fleet_comes_back_whole_and_its_passwords_are_the_owners_alone(tmp_path: Path) -> None:
    Home(tmp_path).keep_fleet(FLEET)
    home = Home(tmp_path)
    assert home.fleet() == FLEET
    assert home.day_of("m1", NOW.replace(hour=21)) == date(2026, 3, 2)
    assert home.day_of("unknown", NOW) == date(2026, 3, 1)
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_file_or_with_a_damaged_one_no_fleet_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home(tmp_path)
    assert home.fleet() == []
    (tmp_path / "fleet.json").write_bytes(b'[{"line":')
    assert home.fleet() == []
    assert "cannot be read" in caplog.text


def test_a_lease_holds_for_its_owner_until_it_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.keep_lease("here", {"b", "a"}, 3600, NOW)
    assert home.lease("here", NOW + timedelta(minutes=15)) == (["a", "b"], 2700)
    assert home.lease("here", NOW + timedelta(hours=2))[1] == 0
    assert home.lease("elsewhere", NOW) == ([], 0)
    assert home.lease("here", NOW - timedelta(minutes=1)) == ([], 0), "the clock was set back"


def test_without_time_left_or_given_up_there_is_no_lease(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.keep_lease("here", {"a"}, 60, NOW)
    home.keep_lease("here", {"a"}, 0, NOW)
    assert home.lease("here", NOW) == ([], 0)
    home.drop_lease()
    assert home.lease("here", NOW) == ([], 0)
