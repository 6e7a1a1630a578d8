"""What the chart makes of its values: five services alike, rights for one of them, and no value that says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from support.helm_release import CommandError, rendered

SERVICES = {"registry": 7401, "scheduler": 7402, "resources": 7403, "conflicts": 7404, "scaling": 7405}

REFUSED = {
    "an etcd that forgets revoked leases": {"etcd": {"image": {"tag": "v3.6.13"}}},
    "two members of etcd": {"etcd": {"members": 2}},
    "an unknown value": {"registry": {}},
    "an unknown setting": {"settings": {"registry": {"nonsense": 1}}},
    "a setting out of range": {"settings": {"registry": {"heartbeat_interval_ms": 1}}},
    "a secret among the settings": {"settings": {"server": {"replica_token": "0123456789abcdef"}}},
    "what the chart says itself": {"settings": {"server": {"port": 1234}}},
    "a fleet without a registry": {"services": {"registry": {"enabled": False}}},
    "no etcd at all": {"etcd": {"enabled": False}},
    "a pool that names other agents": {"agents": {"scaling": {"deployment": {"name": "another"}}}},
    "another security context": {"agents": {"pod": {"securityContext": {"runAsUser": 0}}}},
}


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the specs of all Pods that come of the objects."""
    found = {}
    for each in objects:
        spec = each.get("spec", {})
        pod = spec if each["kind"] == "Pod" else spec.get("template", {}).get("spec")
        if pod:
            found[each["metadata"]["name"]] = pod
    return found


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return rendered()


@pytest.mark.parametrize(("service", "port"), SERVICES.items(), ids=list(SERVICES))
def test_each_service_has_all_that_it_needs(objects: list[dict[str, Any]], service: str, port: int) -> None:
    name = f"tercio-{service}"
    deployment = of_kind(objects, "Deployment")[name]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert deployment["spec"]["replicas"] == 2
    assert {probe["grpc"]["port"] for key, probe in container.items() if key.endswith("Probe")} == {port + 100}
    assert container["resources"].keys() == {"requests", "limits"}
    assert of_kind(objects, "Service")[name]["spec"]["ports"][0]["port"] == port
    assert of_kind(objects, "PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] in of_kind(objects, "ServiceAccount")


def test_the_five_differ_in_nothing_but_their_own(objects: list[dict[str, Any]]) -> None:
    deployments = of_kind(objects, "Deployment")

    def shape(service: str) -> str:
        spec = deployments[f"tercio-{service}"]["spec"]["template"]["spec"]
        container = {key: value for key, value in spec["containers"][0].items() if key != "resources"}
        alike = {**spec, "containers": [container], "automountServiceAccountToken": ""}
        port = SERVICES[service]
        text = repr(alike).replace(service, "SERVICE")
        return text.replace(str(port), "PORT").replace(str(port + 100), "HEALTH").replace(str(port + 200), "METRICS")

    assert len({shape(service) for service in SERVICES}) == 1


def test_every_pod_is_restricted(objects: list[dict[str, Any]]) -> None:
    found = pods(objects)
    assert len(found) == 9
    for pod in found.values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_only_scaling_may_touch_workloads_and_only_those_it_scales(objects: list[dict[str, Any]]) -> None:
    assert not of_kind(objects, "ClusterRole")
    assert not of_kind(objects, "ClusterRoleBinding")
    (role,) = of_kind(objects, "Role").values()
    (binding,) = of_kind(objects, "RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == ["tercio-scaling"]
    deployments, pods_rule = role["rules"]
    assert deployments["resourceNames"] == ["tercio-agents-default"]
    assert set(deployments["verbs"]) == {"get", "list", "watch", "patch"}
    assert set(pods_rule["verbs"]) == {"list", "watch", "patch"}
    with_token = {name for name, pod in pods(objects).items() if pod["automountServiceAccountToken"]}
    assert with_token == {"tercio-scaling"}


def test_pools_of_single_pods_need_to_be_allowed() -> None:
    (role,) = of_kind(rendered({"rbac": {"pods": True, "deployments": ["others"]}}), "Role").values()
    deployments, pods_rule, records = role["rules"]
    assert deployments["resourceNames"] == ["others", "tercio-agents-default"]
    assert {"create", "delete"} <= set(pods_rule["verbs"])
    assert records["resources"] == ["configmaps"]


@pytest.mark.parametrize("members", [1, 3])
def test_members_of_etcd_know_each_other(members: int) -> None:
    objects = rendered({"etcd": {"members": members}})
    (etcd,) = of_kind(objects, "StatefulSet").values()
    said = {each["name"]: each.get("value") for each in etcd["spec"]["template"]["spec"]["containers"][0]["env"]}
    names = [f"tercio-etcd-{number}" for number in range(members)]
    assert etcd["spec"]["replicas"] == members
    assert [each.partition("=")[0] for each in said["ETCD_INITIAL_CLUSTER"].split(",")] == names
    settings = of_kind(objects, "ConfigMap")["tercio-settings"]["data"]["settings.yaml"]
    assert all(f"{name}.tercio-etcd.fleet.svc:2379" in settings for name in names)


def test_another_etcd_is_reached_with_certificates() -> None:
    outside = {"endpoints": ["etcd.example.org:2379"], "tlsSecret": "etcd-tls", "clientCertificate": True}
    objects = rendered({"etcd": {"enabled": False}, "externalEtcd": outside})
    assert not of_kind(objects, "StatefulSet")
    settings = of_kind(objects, "ConfigMap")["tercio-settings"]["data"]["settings.yaml"]
    assert "- etcd.example.org:2379" in settings
    assert "ca_file: /etc/tercio-etcd/ca.crt" in settings
    assert "key_file: /etc/tercio-etcd/tls.key" in settings
    volumes = of_kind(objects, "Deployment")["tercio-registry"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "etcd-certificates", "secret": {"secretName": "etcd-tls"}} in volumes


def test_agents_may_finish_what_they_have(objects: list[dict[str, Any]]) -> None:
    agents = of_kind(objects, "Deployment")["tercio-agents-default"]["spec"]
    assert agents["template"]["spec"]["terminationGracePeriodSeconds"] > 300
    assert "drain_limit: 300s" in of_kind(objects, "ConfigMap")["tercio-agents-default-pool"]["data"]["pool.yaml"]


def test_how_many_agents_there_are_is_said_by_one_alone(objects: list[dict[str, Any]]) -> None:
    assert "replicas" not in of_kind(objects, "Deployment")["tercio-agents-default"]["spec"]
    alone = rendered({"services": {"scaling": {"enabled": False}}, "agents": {"replicas": 3}})
    assert of_kind(alone, "Deployment")["tercio-agents-default"]["spec"]["replicas"] == 3
    assert not of_kind(alone, "Role")
    assert not of_kind(alone, "Job")


def test_new_settings_start_new_pods(objects: list[dict[str, Any]]) -> None:
    def sums(found: list[dict[str, Any]]) -> set[str]:
        deployments = of_kind(found, "Deployment")
        return {
            deployments[f"tercio-{name}"]["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
            for name in SERVICES
        }

    assert not sums(objects) & sums(rendered({"settings": {"server": {"log_level": "debug"}}}))


@pytest.mark.parametrize("values", REFUSED.values(), ids=list(REFUSED))
def test_values_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        rendered(values)


def test_who_is_not_there_is_not_called() -> None:
    objects = rendered({"services": {"conflicts": {"enabled": False}}})
    maps = of_kind(objects, "ConfigMap")
    assert 'conflicts_address: ""' in maps["tercio-settings"]["data"]["settings.yaml"]
    assert "TERCIO_CONFLICTS_ADDRESS" not in maps["tercio-addresses"]["data"]
    assert maps["tercio-addresses"]["data"]["TERCIO_REGISTRY_ADDRESS"] == "tercio-registry.fleet.svc:7401"
    assert "tercio-conflicts" not in of_kind(objects, "Deployment")
