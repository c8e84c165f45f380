"""The Kubernetes manifests: what they name exists, what they start is started here, what they probe answers.

No cluster is needed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from otelgres.collector.embedded import Cluster, Login
from otelgres.collector.service.settings import ReceiverSettings
from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, environment
from tests.waiting import TIMEOUT

FOLDER = Path(__file__).parents[2] / "docs" / "deploy" / "kubernetes"
DOCUMENTS: list[dict[str, Any]] = [
    document
    for file in yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    for document in yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8"))
]


def find(kind: str, name: str | None = None) -> dict[str, Any]:
    found = [one for one in DOCUMENTS if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    assert len(found) == 1, (kind, name)
    return found[0]


def container(kind: str) -> dict[str, Any]:
    (only,) = find(kind)["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("kind", ["StatefulSet", "Job"])
def test_a_pod_has_no_rights_and_mounts_what_it_names(kind: str) -> None:
    spec = find(kind)["spec"]["template"]["spec"]
    one = container(kind)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] == 10001, "as the Dockerfile says"
    assert not spec["automountServiceAccountToken"]
    assert one["securityContext"]["readOnlyRootFilesystem"]
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    claims = find(kind)["spec"].get("volumeClaimTemplates", [])
    volumes = {volume["name"] for volume in spec["volumes"]} | {claim["metadata"]["name"] for claim in claims}
    assert {mount["name"] for mount in one["volumeMounts"]} == volumes
    paths = [mount["mountPath"] for mount in one["volumeMounts"]]
    for variable in one["env"]:
        name, value = variable["name"], variable["value"]
        assert hasattr(ReceiverSettings, name.removeprefix("OTELGRES_").lower()), name
        if value.startswith("/"):
            assert any(value.startswith(path) for path in paths), f"nothing is mounted for {name}"
            # Elsewhere the mode would be asked for, and a group may read it.
            assert not name.endswith("_FILE") or value.startswith("/run/secrets/")


def test_services_and_policies_mean_the_receiver() -> None:
    receiver = find("StatefulSet")
    labels = receiver["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in container("StatefulSet")["ports"]}
    assert receiver["spec"]["selector"]["matchLabels"] == labels
    assert find("Service", receiver["spec"]["serviceName"])["spec"]["clusterIP"] == "None"
    for service in (find("Service", "otelgres"), find("Service", "otelgres-pods")):
        assert service["spec"]["selector"] == labels
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    assert find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    policy = find("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == set(ports)
    assert find("Job")["metadata"]["labels"] != labels, "or it would be sent telemetry"
    assert receiver["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > ReceiverSettings().shutdown_seconds


def test_what_the_pods_run_does_its_work(postgres_version: str, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "otelgres"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from otelgres.collector.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    with postgres.fast_cluster(postgres_version) as server:
        superuser = server.dsn(Login.SUPERUSER)
        receiver_dsn = superuser.replace("//postgres", "//otelgres_receiver", 1)
        contents = {
            "postgres_dsn": superuser,
            "admin_dsn": superuser.replace("//postgres", "//otelgres_admin", 1),
            **dict.fromkeys(("admin_password", "receiver_password", "grafana_password"), "0" * 48),
        }
        for name, text in contents.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        schema(server, container("Job"), tmp_path, f"{program.parent}:{os.environ['PATH']}")
        spec = container("StatefulSet")
        arguments = [re.sub(r"^0\.0\.0\.0:\d+$", "127.0.0.1:0", one) for one in spec["args"]]
        with OtelgresProcess(
            *arguments, "--json", OTELGRES_DSN=receiver_dsn, OTELGRES_SPOOL=str(tmp_path / "spool")
        ) as running:
            http = running.ready()["http"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert httpx.get(http + spec[probe]["httpGet"]["path"], timeout=TIMEOUT).status_code == 200
            annotations = find("StatefulSet")["spec"]["template"]["metadata"]["annotations"]
            numbers = httpx.get(http + annotations["prometheus.io/path"], timeout=TIMEOUT)
            assert "otelgres_database_up" in numbers.text
            assert running.stop() == 0


def schema(server: Cluster, spec: dict[str, Any], folder: Path, path: str) -> None:
    assert spec["command"] == ["/bin/sh", "-euc"]
    (script,) = spec["args"]
    done = subprocess.run(
        ["/bin/sh", "-euc", re.sub("/run/secrets/(otelgres|owner)", str(folder), script)],
        capture_output=True, text=True, timeout=TIMEOUT, cwd=folder,
        env=environment(OTELGRES_DSN_FILE=str(folder / "postgres_dsn"), PATH=path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with psycopg.connect(server.dsn(Login.SUPERUSER).replace("//postgres", "//grafana", 1)) as connection:
        assert connection.execute("SELECT count(*) FROM otel.flows").fetchone() == (0,)
