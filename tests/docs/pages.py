"""How each page is read here, and what of the pages cannot be run on a machine that is not to be changed."""

from __future__ import annotations

from collections.abc import Mapping

from tests.docs.console import Reading
from tests.docs.street import Street

ALONE = ("first-meter.md", "cabinet.md")
"""Pages that start from nothing and tell everything."""

_OURS = ("tests/storage/test_backup.py", 'commands("With our own command")')
_THEIRS = ("tests/storage/test_backup.py", 'commands(f"With the programs of PostgreSQL')
ELSEWHERE: Mapping[tuple[str, str], tuple[str, str]] = {
    ("backup.md", "amr storage backup"): _OURS,
    ("backup.md", "AMR_DATA=/srv/amr-restored amr storage"): _OURS,
    ("backup.md", "pg_dump"): _THEIRS,
    ("backup.md", "createdb"): _THEIRS,
    ("backup.md", "pg_restore"): _THEIRS,
    ("backup.md", "psql"): _THEIRS,
    ("backup.md", "AMR_DATABASE_URL=postgresql:///amr_restored"): _THEIRS,
    ("backup.md", "amr storage adopt-timescale"): ("tests/storage/test_status.py", '"adopt-timescale"'),
    ("api.md", "npx openapi-typescript"): ("tests/client/test_client.py", '"openapi-typescript"'),
    ("api.md", "npm install openapi-fetch"): ("tests/client/package.json", '"openapi-fetch"'),
}
"""Commands (by page and how they begin) that another test runs, with data to look at: where, by which words."""

NOT_RUN: Mapping[tuple[str, str], str] = {
    ("README.md", "make demo"): "it makes .venv; what it then calls, `amr demo`, is run",
    ("README.md", "make test"): "it is these tests",
    ("CONTRIBUTING.md", "AMR_TEST_DSN="): "it is these tests",
    ("meters-in-your-ci.md", "pip install"): "it changes the environment; tests/test_meters_in_your_ci.py has the rest",
    ("deployment.md", "apt-get install"): "it changes the machine",
    ("deployment.md", "git clone"): "it names no address: everybody has another one",
    ("deployment.md", "install "): "it writes to /etc and /usr/lib",
    ("deployment.md", "su postgres"): "it makes a role and a database in the machine's PostgreSQL",
    ("deployment.md", "systemctl"): "it needs a machine that systemd has booted",
    ("deployment.md", "docker compose -f deploy/compose.yaml up"): "there is no container engine here",
    ("deployment.md", "docker compose -f deploy/compose.yaml --profile"): "there is no container engine here",
    ("deployment.md", "kubectl"): "there is no cluster here",
}
"""Commands that cannot be run, and why; test_told_commands.py checks of each what can be."""


def readings(street: Street) -> dict[str, Reading]:
    """How the pages that need something around them are read."""
    token = {"amr_…": street.consumer}
    api = f"export API={street.url}/api/v1 TOKEN="
    # curl itself takes a refusal for an answer; a reader does not
    refusals = 'curl() { command curl --show-error --fail-with-body "$@"; }\n'
    return {
        "README.md": Reading(
            here={**token, "http://127.0.0.1:8080": street.url},
            before=refusals,
            says=('"code":"MP-0001"', '"channel":"1.8.0"', '"step":"month"'),
        ),
        "api.md": Reading(
            here={"jq -r .text": "cat"},  # not on every machine
            before=f"{refusals}{api}{street.engineer}\namr fleet export > fleet.toml",
            says=("0 added, 0 changed",),
        ),
        "at-the-line.md": Reading(
            here={
                "/dev/ttyUSB0": street.cable,
                "10.0.0.7:502": street.converter,
                "10.0.0.7:4001": street.transparent,
            },
            before=_stored_lines(),
            answers={"amr meter add": "y"},
            lasting={"amr line watch": "unit 5"},
            says=("serial 19000001", "serial number 23000005", "3 added", "It fits"),
        ),
        "deployment.md": Reading(
            here={"docker compose -f deploy/compose.yaml exec api amr": "amr"},
            answering=("amr status",),
            says=("amr_", "heard by themselves"),
        ),
        "exports.md": Reading(
            here={"/srv/80020": "."},
            before=f"{refusals}{api}{street.consumer} AMR_COMPANY_INN=7703311228",
            says=(
                "wrote 2026.xlsx",
                "wrote 80020_7703311228_20260331_",
                "20260310_20523.xml: 2026-03-10 of 7703311228",
            ),
        ),
        "meter-models.md": Reading(
            here={"10.0.0.7:502": street.spare},
            files={"my-meter.toml": 0},
            before="mkdir models; mv my-meter.toml models; cd models; export AMR_CATALOG=$PWD",
            answering=("amr meter read",),  # the practice meter is of another model
            says=("eastron-sdm120", "ABB", "right; 3 registers", "illegal function"),
        ),
        "meters-in-your-ci.md": Reading(
            files={"street.toml": 0}, lasting={"amr simulate": "time runs ×60"}, says=("cellar",)
        ),
        "mqtt.md": Reading(
            here={"mqtts://tp-101:password@amr.example.org": "mqtt://tp-101:password@127.0.0.1:9"},  # no certificate
            files={"plugs.toml": 0},
            before=_strange_meter("plug-7") + _substation(street),
            lasting={"amr collect --forward": "polling 1 meters on 1 lines"},
            says=("zigbee2mqtt", "ENERGY.Voltage", "1 of 1 samples", "48151623  1.8.0  1.5000 kWh", "plug-7"),
        ),
        "operations.md": Reading(answering=("amr status",), says=("heard by themselves", '"processes"')),
        "quarantine.md": Reading(
            here={"4711": "$NUMBER"},
            before=_strange_meter("plug-9") + "NUMBER=$(amr quarantine list | grep -o '^ *[0-9][0-9]*' | head -1)",
            says=("meter=plug-9", "tried 0", "dropped 1", "% full"),
        ),
        "serial-meters.md": Reading(
            here={
                "amr fleet apply fleet": "sed -i s/MP-000/MP-500/ fleet.toml; amr fleet apply fleet"
            },  # the demo has them
            files={"street.toml": 1},
            answers={"amr meter read": "864209"},
            lasting={"amr line watch": "→"},
            says=("mercury-234", "1.8.0"),
        ),
    }


def _strange_meter(serial: str) -> str:
    """A value of a meter that nobody knows."""
    rows = f"meter,channel,taken_at,value,source,author\n{serial},1.8.0,2026-11-01T00:00:00+03:00,100.5,,"
    return f"echo '{rows}' > strange.csv\namr import strange.csv\n"


def _stored_lines() -> str:
    """Two lines a collector polls, where the page goes to."""
    return """
cat > lines.toml <<END
[[line]]
name = "tp-101"
kind = "modbus-tcp"
address = "10.0.0.7:502"

[[line]]
name = "tp-102"
kind = "rtu-over-tcp"
address = "10.0.0.7:4001"

[[point]]
code = "MP-18"
zone = "Europe/Samara"

[[meter]]
serial = "23000006"
model = "abb-b23"
line = "tp-102"
address = "5"
period = "5s"

[[installation]]
point = "MP-18"
meter = "23000006"
since = 2026-01-01
END
amr fleet apply lines.toml
"""


def _substation(street: Street) -> str:
    """The fleet file of a substation with one meter."""
    return f"""
cat > substation.toml <<END
[[line]]
name = "bus-1"
kind = "modbus-tcp"
address = "{street.converter}"

[[meter]]
serial = "23000005"
model = "abb-b23"
line = "bus-1"
address = "5"
END
export AMR_MQTT_TRY_OUT=false
"""
