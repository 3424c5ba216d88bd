"""What deploy/ ships is held to the code: verbs, settings, files and ports that exist, and the schemas of its tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

import amr

DEPLOY = Path(amr.__file__).parent / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTINGS = {f"AMR_{name.upper()}" for name in amr.Settings.model_fields}
COMMAND = typer.main.get_command(amr.app)
KUBERNETES = "1.34"


def documents() -> Iterator[dict[str, Any]]:
    for file in MANIFESTS:
        yield from yaml.safe_load_all(file.read_text())


def containers() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in documents():
        if "template" in one.get("spec", {}):
            found += one["spec"]["template"]["spec"]["containers"]
    return found


def check_command(words: list[str]) -> None:
    """The verb exists and takes these options."""
    verbs = COMMAND.commands  # type: ignore[attr-defined]
    assert words[0] in verbs, words
    options = {name for parameter in verbs[words[0]].params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert set(words[1:]) <= options, words


def named_settings() -> list[tuple[str, str]]:
    """Every AMR_ variable that a file of deploy/ names; AMR_IMAGE is Compose's own."""
    found = []
    for file in sorted(DEPLOY.rglob("*")):
        if file.is_file() and file.suffix not in (".json", ".md"):
            names = set(re.findall(r"\bAMR_[A-Z0-9_]*[A-Z0-9]\b", file.read_text())) - {"AMR_IMAGE"}
            found += [(file.name, name) for name in sorted(names)]
    return found


@pytest.mark.parametrize(("file", "name"), named_settings())
def test_every_setting_named_there_exists(file: str, name: str) -> None:
    assert name in SETTINGS, f"{file} sets {name}, which nobody reads"


@pytest.mark.parametrize("service", [name for name, one in COMPOSE["services"].items() if "command" in one])
def test_compose_runs_commands_that_exist(service: str) -> None:
    check_command(COMPOSE["services"][service]["command"])


def test_compose_mounts_files_that_are_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and "/secrets/" not in source:
                assert (DEPLOY / source).exists(), f"{name} mounts {source}"
            elif not source.startswith("./"):
                assert source in COMPOSE["volumes"], f"{name} mounts {source}"


def test_compose_brings_what_the_service_needs() -> None:
    services = COMPOSE["services"]
    assert {"database", "broker", "migrate", "ingest-1", "ingest-2", "collector", "api", "proxy"} <= services.keys()
    ids = {services[name]["environment"]["AMR_MQTT_CLIENT_ID"] for name in ("ingest-1", "ingest-2")}
    assert len(ids) == 2, "two members of one session name throw each other out"
    for name in ("ingest-1", "ingest-2", "collector", "api"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert services[name]["stop_grace_period"] == "30s"
    assert services["api"].get("ports") is None, "the API is reached through the proxy alone"


def manifests() -> list[dict[str, Any]]:
    return [one for one in documents() if one["kind"] != "Kustomization"]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_manifests_hold_to_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_kustomization_lists_every_manifest() -> None:
    (kustomization,) = [one for one in documents() if one["kind"] == "Kustomization"]
    assert {"kustomization.yaml", *kustomization["resources"]} == {file.name for file in MANIFESTS}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, which carries Kustomize")
def test_kustomize_makes_the_same_of_them() -> None:
    """No cluster is asked: the client alone builds."""
    words = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    built = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    made = list(yaml.safe_load_all(built))
    ours = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    (settings,) = {(one["kind"], one["metadata"]["name"]) for one in made} - ours
    assert len(made) == len(ours) + 1
    assert settings[0] == "ConfigMap"  # the one thing it generates, under a name of its content's
    assert f"name: {settings[1]}\n" in built
    for one in made:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "amr"


@pytest.mark.parametrize("container", containers(), ids=lambda one: str(one["name"]))
def test_pods_run_commands_that_exist_and_probe_ports_they_open(container: dict[str, Any]) -> None:
    check_command(container["args"])
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container:
            assert container[probe]["httpGet"]["port"] in ports
            assert container[probe]["httpGet"]["path"] in ("/healthz", "/readyz")
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_every_pod_with_replicas_has_a_disruption_budget() -> None:
    budgets = {one["metadata"]["name"] for one in manifests() if one["kind"] == "PodDisruptionBudget"}
    assert budgets == {one["metadata"]["name"] for one in manifests() if one.get("spec", {}).get("replicas", 1) > 1}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.name))
def test_units_run_commands_that_exist(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    program, *words = line.split()
    assert program == "/opt/amr/.venv/bin/amr"
    check_command(words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text().replace("/opt/amr/.venv/bin/amr", "/bin/true").replace("User=amr", "User=root")
        (tmp_path / unit.name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in checked.stderr.splitlines() if str(tmp_path) in line or "amr" in line]
    assert (checked.returncode, complaints) == (0, []), checked.stderr


def test_the_brokers_of_the_box_and_of_compose_differ_in_paths_and_tls_only() -> None:
    def lines(file: Path) -> dict[str, str]:
        rows = (line.split(maxsplit=1) for line in file.read_text().splitlines() if line and not line.startswith("#"))
        return {row[0]: row[1] for row in rows}

    box, compose = lines(DEPLOY / "mosquitto.conf"), lines(DEPLOY / "compose" / "mosquitto.conf")
    assert compose.keys() - box.keys() == {"certfile", "keyfile", "tls_version"}
    differing = {name for name in box if box[name] != compose[name]}
    assert differing == {"listener", "password_file", "acl_file", "persistence_location"}


def test_the_image_copies_what_the_project_is_made_of() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    packages = {folder.split("/")[0] for folder in re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE)}
    assert packages == {"api", "collectors", "ingest", "simulators", "storage"}
    assert re.search(r"^USER amr$", text, re.MULTILINE)
    for copied in ("constraints.txt", "pyproject.toml", "README.md", "amr.py"):
        assert f"!{copied}" in (DEPLOY / "Dockerfile.dockerignore").read_text()
