"""Of commands that cannot be run here, what can be known: the files, units, services and names in them are ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.console import ROOT, commands
from tests.docs.pages import NOT_RUN

DEPLOYMENT = commands(ROOT / "docs" / "deployment.md")
SYSTEMD = ROOT / "deploy" / "systemd"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def told(begin: str) -> list[str]:
    found = [command for command in DEPLOYMENT if command.startswith(begin)]
    assert found, begin
    return found


def test_every_file_named_is_there() -> None:
    named = {word for command in DEPLOYMENT for word in re.findall(r"deploy/[\w./*@-]+", command)}
    assert len(named) >= 6
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_files_are_put_where_the_units_look() -> None:
    placed = {word for command in told("install ") for word in re.findall(r"/etc/amr/[\w.]+", command)}
    texts = {unit.name: unit.read_text() for unit in SYSTEMD.glob("*.service")}
    wanted = {
        file
        for name, text in texts.items()
        for file in re.findall(r"^EnvironmentFile=-?(\S+)$", text, re.MULTILINE)
        if name != "amr-forward.service"  # for a substation: the page says so in words
    }
    assert placed == wanted


def test_units_that_are_enabled_exist_and_can_be() -> None:
    (command,) = told("systemctl enable")
    for name in re.findall(r"amr-[\w@-]+", command):
        text = (SYSTEMD / f"{re.sub(r'@.*', '@', name)}.service").read_text()
        assert "[Install]" in text


def test_the_role_and_database_are_those_of_the_example() -> None:
    (command,) = told("su postgres")
    assert "createuser amr" in command
    assert "createdb -O amr amr" in command
    assert "postgresql://amr@/amr?" in (SYSTEMD / "amr.env.example").read_text()


def test_compose_has_the_services_and_profiles_named() -> None:
    for command in told("docker compose"):
        words = command.split("  #")[0].split()
        if "exec" in words:
            assert words[words.index("exec") + 1] in COMPOSE["services"]
        if "--profile" in words:
            profile = words[words.index("--profile") + 1]
            assert any(profile in one.get("profiles", ()) for one in COMPOSE["services"].values())


def test_the_secrets_of_the_cluster_are_those_its_pods_ask_for() -> None:
    made = {match[1] for command in told("kubectl") if (match := re.search(r"create secret generic (\S+)", command))}
    texts = "\n".join(file.read_text() for file in (ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    asked = set(re.findall(r"secretRef: \{ name: (\S+) \}", texts)) | set(re.findall(r"secretName: (\S+) \}", texts))
    assert made == asked - {"amr-tls"}  # the ingress's certificate is the cluster's own business
    assert f"namespace: {told('kubectl create namespace')[0].split()[-1]}" in texts


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kubectl_understands_what_it_is_told(tmp_path: Path) -> None:
    """Without a cluster: it says what it would send."""
    (tmp_path / "ca.pem").write_text("")
    for command in told("kubectl"):
        dry = "kustomize" if " apply -k " in command else ""
        line = command.replace(" apply -k deploy", f" {dry} {ROOT}/deploy") if dry else f"{command} --dry-run=client"
        subprocess.run(["sh", "-ec", line], cwd=tmp_path, check=True, capture_output=True)


def test_what_make_is_told_to_do_it_knows() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    targets = {match for page in pages for match in re.findall(r"(?:`|\$ |scratch )make ([a-z]+)", page.read_text())}
    assert {"demo", "test", "check"} <= targets
    known = subprocess.run(["make", "--print-data-base", "--question"], cwd=ROOT, capture_output=True, text=True)
    assert [one for one in targets if f"\n{one}: " not in known.stdout] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: str(page.name))
def test_benchmarks_that_are_named_exist(page: Path) -> None:
    for words in re.findall(r"python -m bench([^`\n]*)", page.read_text(encoding="utf-8")):
        name = re.match(r"[. ](\w+)", words)
        assert name is None or (ROOT / "bench" / f"{name[1]}.py").exists(), words


def test_each_reason_says_something() -> None:
    assert [key for key, reason in NOT_RUN.items() if len(reason.split()) < 4] == []
