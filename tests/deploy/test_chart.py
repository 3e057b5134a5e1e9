"""The chart, rendered with Helm's own engine: what it says, what it refuses, and that Kubernetes takes it.

`cargo xtask chart` runs these. What a rendered chart does is tried by `chart_drill.py`.
"""

import base64
import copy
import json
import re
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError
from kubernetes_validate import validate

import readme
from rendering import CHART, NAMESPACE, RELEASE, ROOT, Rendered, value_sets, values_in, variables

KUBERNETES = ["1.29", "1.33", "1.37"]
NAME = f"{RELEASE}-rollcall"
DOMAIN = f"{NAME}-peers.{NAMESPACE}.svc.cluster.local"
# Kinds that Kubernetes does not know by itself: the keys that their operators read here.
FOREIGN = {
    "ServiceMonitor": {"selector": {"matchLabels"}, "endpoints": None},
    "PrometheusRule": {"groups": None},
    "Certificate": {"secretName": None, "issuerRef": {"name", "kind", "group"}, "usages": None, "dnsNames": None},
}


def port_names(ports, key="port"):
    return {port[key] for port in ports}


class Takes(unittest.TestCase):
    """What Helm and Kubernetes say of it."""

    def test_strict_lint_finds_nothing(self):
        for name, values in value_sets().items():
            for version in KUBERNETES:
                report = lint(str(CHART), values, strict=True, kube_version=f"v{version}.0")
                complaints = [m for m in report["messages"] if "icon is recommended" not in m["error"]]
                self.assertEqual(complaints + report["errors"], [], (name, version))

    def test_every_document_is_valid_for_three_versions_of_kubernetes(self):
        kinds = set()
        for name, values in value_sets().items():
            for document in Rendered(values).documents:
                kind = document["kind"]
                kinds.add(kind)
                if kind in FOREIGN:
                    allowed = FOREIGN[kind]
                    self.assertLessEqual(set(document["spec"]), set(allowed), (name, kind))
                    for key, inner in allowed.items():
                        if inner and key in document["spec"]:
                            self.assertLessEqual(set(document["spec"][key]), inner, (name, kind))
                    continue
                for version in KUBERNETES:
                    validate(copy.deepcopy(document), version, strict=True)
        self.assertGreaterEqual(kinds, {"StatefulSet", "Job", "Pod", "Service", "ConfigMap", "NetworkPolicy", *FOREIGN})

    def test_a_misspelt_field_would_be_noticed(self):
        document = Rendered().one("StatefulSet")
        document["spec"]["podManagmentPolicy"] = "Parallel"
        with self.assertRaises(Exception):
            validate(document, KUBERNETES[0], strict=True)

    def test_names_stay_within_what_dns_takes(self):
        longest = Rendered({"nameOverride": "n" * 45})
        for document in longest.documents:
            self.assertLessEqual(len(document["metadata"]["name"]), 63, document["kind"])
        # The pod's name is a label of it, with a number behind and a hash beside.
        self.assertLessEqual(len(longest.one("StatefulSet")["metadata"]["name"]), 52)


class Values(unittest.TestCase):
    """B-148: values have a schema, and wrong ones are refused with a sentence."""

    def refused(self, values, sentence, upgrade=False):
        with self.assertRaises(HelmError) as caught:
            Rendered(values, upgrade)
        self.assertRegex(str(caught.exception), sentence)

    def test_the_schema_knows_every_value_and_no_more(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def compare(schema, value, path):
            properties = schema.get("properties")
            if properties is None or not isinstance(value, dict) or path == ".config":
                return
            self.assertEqual(set(properties) - {"global"}, set(value), path)
            self.assertIs(schema["additionalProperties"], False, path)
            for key, inner in properties.items():
                if key in value:
                    compare(inner, value[key], f"{path}.{key}")

        compare(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")

    def test_further_settings_are_those_of_the_program_that_the_chart_does_not_set(self):
        schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
        known = tomllib.loads((ROOT / "rollcall.example.toml").read_text())
        set_here = {name.removeprefix("ROLLCALL_").lower() for name in variables(Rendered().node(), {"metadata.name": ""})}
        refused = {"auth": {"anonymous"}, "cluster": {"secret", "tls"}, "node": {"zone", "profile"}}
        for section, keys in known.items():
            ours = {key for key in keys if f"{section}__{key}" in set_here} - {"log_format"}
            ours |= refused.get(section, set())
            if section == "listeners":
                ours |= {"mqtts", "wss", "https", "tls"}
            wanted = set(keys) - ours | ({"bootstrap_policies"} if section == "auth" else set())
            self.assertEqual(set(schema.get(section, {"properties": {}})["properties"]), wanted, section)

    def test_wrong_values_are_refused(self):
        self.refused({"replicas": 0}, "replicas")
        self.refused({"replica": 3}, "replica")
        self.refused({"config": {"limits": {"message_per_second": 1}}}, "message_per_second")
        self.refused({"config": {"node": {"name": "x"}}}, "node")
        self.refused({"config": {"limits": {"client_filters": "many"}}}, "client_filters")
        self.refused({"persistence": {"whenScaled": "Keep"}}, "whenScaled")
        self.refused({"users": [{"username": "a:b"}]}, "username")
        self.refused({"fullnameOverride": "Upper"}, "fullnameOverride")

    def test_values_that_do_not_fit_together_are_refused(self):
        self.refused({"replicas": 1}, "set bootstrapNodes to 1")
        self.refused({"tls": {"enabled": True}}, "set tls.secretName")
        self.refused({"tls": {"enabled": True, "certManager": True}}, "set certManager.issuerRef.name")
        self.refused({"tls": {"only": True}}, "tls.only")
        self.refused({"cluster": {"tls": {"enabled": True}}}, "set cluster.tls.secretName")
        self.refused({"users": [{"username": "admin"}]}, "made by the chart")
        self.refused({"secrets": {"existingSecret": "s"}, "users": [{"username": "a"}]}, "needs an existingSecret")

    def test_the_page_about_the_values_is_made_from_them(self):
        self.assertEqual(readme.PAGE.read_text(), readme.page(), "run python3 tests/deploy/readme.py")

    def test_the_versions_are_those_of_the_program(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        self.assertEqual(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], version)


class Pods(unittest.TestCase):
    """What a node's pod is."""

    def test_pods_start_side_by_side_and_find_each_other_before_they_are_ready(self):
        # B-145: restarted together, none waits for another one; B-143: members are names, not addresses.
        rendered = Rendered()
        stateful_set = rendered.one("StatefulSet")
        self.assertEqual(stateful_set["spec"]["podManagementPolicy"], "Parallel")
        peers = rendered.one("Service", stateful_set["spec"]["serviceName"])
        self.assertEqual(peers["spec"]["clusterIP"], "None")
        self.assertIs(peers["spec"]["publishNotReadyAddresses"], True)
        self.assertLessEqual(
            peers["spec"]["selector"].items(), stateful_set["spec"]["template"]["metadata"]["labels"].items()
        )
        environment = variables(rendered.node(), {"metadata.name": f"{NAME}-1"})
        self.assertEqual(environment["ROLLCALL_NODE__NAME"], f"{NAME}-1")
        self.assertEqual(environment["ROLLCALL_NODE__ADVERTISE_HOST"], f"{NAME}-1.{DOMAIN}")
        seeds = [f"{NAME}-{ordinal}.{DOMAIN}:7400" for ordinal in range(3)]
        self.assertEqual(environment["ROLLCALL_CLUSTER__SEEDS"].split(","), seeds)

    def test_scaling_restarts_nobody_and_founds_nothing(self):
        # B-146: who founds is said once, at the installation, and does not follow the number of replicas.
        three, five, two = Rendered(), Rendered(values_in("five")), Rendered({"replicas": 2}, upgrade=True)
        for other in (five, two):
            self.assertEqual(
                three.one("StatefulSet")["spec"]["template"], other.one("StatefulSet")["spec"]["template"]
            )
        self.assertEqual(five.one("StatefulSet")["spec"]["replicas"], 5)

    def test_alive_is_not_ready(self):
        # A lost quorum must not restart anybody.
        node = Rendered().node()
        self.assertEqual(node["livenessProbe"]["httpGet"]["path"], "/healthz")
        self.assertEqual(node["startupProbe"]["httpGet"]["path"], "/healthz")
        self.assertEqual(node["readinessProbe"]["httpGet"]["path"], "/readyz")

    def test_a_pod_that_stops_is_taken_out_of_the_services_and_then_drains(self):
        # B-155, B-151: stopping drains; it never leaves and never deletes.
        pod, node = Rendered().pod(), Rendered().node()
        delay = int(node["lifecycle"]["preStop"]["exec"]["command"][1])
        self.assertEqual(node["lifecycle"]["preStop"]["exec"]["command"][0], "sleep")
        self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], delay + 30)
        self.assertNotIn("leave", json.dumps(pod))

    def test_containers_run_without_rights(self):
        for values in value_sets().values():
            rendered = Rendered(values)
            job, check = rendered.one("Job")["spec"]["template"]["spec"], rendered.all("Pod")
            for pod in [rendered.pod(), job, *(pod["spec"] for pod in check)]:
                self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
                self.assertIs(pod["automountServiceAccountToken"], False)
                for container in pod["containers"]:
                    context = container["securityContext"]
                    self.assertIs(context["readOnlyRootFilesystem"], True)
                    self.assertIs(context["allowPrivilegeEscalation"], False)
                    self.assertEqual(context["capabilities"]["drop"], ["ALL"])

    def test_nodes_are_spread_and_one_at_a_time_is_evicted(self):
        rendered = Rendered()
        self.assertEqual(rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"], 1)
        labels = rendered.one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
        term = rendered.pod()["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]
        spread = rendered.pod()["topologySpreadConstraints"][0]
        budget = rendered.one("PodDisruptionBudget")["spec"]
        for selected in (term["podAffinityTerm"], spread, budget):
            selector = selected.get("labelSelector", selected.get("selector"))["matchLabels"]
            self.assertLessEqual(selector.items(), labels.items())
        strict = Rendered(values_in("everything")).pod()["affinity"]["podAntiAffinity"]
        self.assertIn("requiredDuringSchedulingIgnoredDuringExecution", strict)

    def test_settings_come_as_the_program_reads_them(self):
        environment = variables(
            Rendered(values_in("everything")).node(),
            {"metadata.name": "presence-0", "metadata.labels['topology.kubernetes.io/zone']": "z1"},
        )
        self.assertEqual(environment["ROLLCALL_LIMITS__MESSAGES_PER_SECOND"], "2000000")
        self.assertEqual(environment["ROLLCALL_LISTENERS__PROXY_PROTOCOL"], "true")
        self.assertEqual(environment["ROLLCALL_NODE__ZONE"], "z1")
        policies = tomllib.loads(f"value = {environment['ROLLCALL_AUTH__BOOTSTRAP_POLICIES']}")["value"]
        self.assertEqual(policies[0]["resources"], ["fleet/*", 'say "hi" <all>'])
        self.assertEqual(policies[0]["qos"], [0, 1])

    def test_ports_have_listeners_and_services_have_ports(self):
        for name, values in value_sets().items():
            rendered = Rendered(values)
            node = rendered.node()
            fields = {"metadata.name": "n", "metadata.labels['topology.kubernetes.io/zone']": ""}
            listeners = {
                key.removeprefix("ROLLCALL_LISTENERS__").lower(): int(value.rsplit(":", 1)[1])
                for key, value in variables(node, fields).items()
                if re.fullmatch(r"ROLLCALL_LISTENERS__[A-Z]+", key)
            }
            self.assertEqual(listeners, {port["name"]: port["containerPort"] for port in node["ports"]}, name)
            for service in rendered.all("Service"):
                for port in service["spec"]["ports"]:
                    self.assertEqual(port["port"], listeners[port["targetPort"]], (name, service["metadata"]["name"]))

    def test_files_that_settings_name_are_mounted(self):
        for name in ("everything", "existing-secrets"):
            rendered = Rendered(values_in(name))
            fields = {"metadata.name": "n", "metadata.labels['topology.kubernetes.io/zone']": ""}
            mounts = {m["mountPath"]: m["name"] for m in rendered.node()["volumeMounts"]}
            volumes = {volume["name"]: volume for volume in rendered.pod()["volumes"]}
            for key, path in variables(rendered.node(), fields).items():
                if not key.endswith("_FILE"):
                    continue
                folder, file = path.rsplit("/", 1)
                volume = volumes[mounts[folder]]
                if "projected" in volume:
                    items = [item["path"] for s in volume["projected"]["sources"] for item in s["secret"]["items"]]
                    self.assertIn(file, items, (name, key))


class Secrets(unittest.TestCase):
    """The cluster's secret and the passwords."""

    def test_what_is_not_given_is_made_and_kept(self):
        secret = Rendered(values_in("everything")).one("Secret")
        self.assertEqual(secret["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        self.assertRegex(data["cluster-secret"], "^[A-Za-z0-9]{48}$")
        self.assertRegex(data["admin-password"], "^[A-Za-z0-9]{24}$")
        self.assertRegex(data["user-backend"], "^[A-Za-z0-9]{24}$")
        self.assertEqual(data["user-devices"], "a-password-of-theirs")
        self.assertNotIn("user-fleet", data)
        self.assertIn('lookup "v1" "Secret"', (CHART / "templates" / "secret.yaml").read_text())

    def test_no_secret_is_made_beside_an_existing_one_and_none_stands_in_a_variable_of_a_node(self):
        rendered = Rendered(values_in("existing-secrets"))
        self.assertEqual(rendered.all("Secret"), [])
        for values in value_sets().values():
            self.assertNotIn("secretKeyRef", json.dumps(Rendered(values).node()))


class Doors(unittest.TestCase):
    """Who reaches what."""

    def test_only_nodes_reach_the_ports_between_nodes(self):
        policy = Rendered().one("NetworkPolicy")["spec"]
        for rule in policy["ingress"]:
            if "mesh" in port_names(rule["ports"]):
                self.assertEqual(len(rule["from"]), 1)
                labels = rule["from"][0]["podSelector"]["matchLabels"]
                self.assertEqual(labels["app.kubernetes.io/component"], "node")
            elif "from" not in rule:
                self.assertEqual(port_names(rule["ports"]), {"mqtt", "ws", "http"})

    def test_with_tls_only_nothing_else_is_open_to_clients(self):
        rendered = Rendered(values_in("everything"))
        open_ports = set()
        for name in ("presence-mqtt", "presence-http"):
            open_ports |= port_names(rendered.one("Service", name)["spec"]["ports"], "name")
        self.assertEqual(open_ports, {"mqtts", "wss", "https"})
        clients = rendered.one("NetworkPolicy")["spec"]["ingress"][-1]
        self.assertEqual(port_names(clients["ports"]), {"mqtts", "wss", "https"})
        self.assertEqual(clients["from"], [{"ipBlock": {"cidr": "10.0.0.0/8"}}])

    def test_certificates_name_what_is_dialled(self):
        rendered = Rendered(values_in("everything"))
        mesh = rendered.one("Certificate", "presence-mesh-tls")["spec"]["dnsNames"]
        self.assertEqual(mesh, [f"*.presence-peers.{NAMESPACE}.svc.cluster.local"])
        clients = rendered.one("Certificate", "presence-tls")["spec"]["dnsNames"]
        self.assertIn(f"presence-mqtt.{NAMESPACE}.svc", clients)
        self.assertIn("mqtt.example.org", clients)


class Leaving(unittest.TestCase):
    """B-151, B-152: shrinking is a step of its own, before anything is changed, with a check."""

    def test_the_job_runs_before_every_upgrade_and_rollback_and_knows_how_many_stay(self):
        job = Rendered({"replicas": 3}, upgrade=True).one("Job")
        self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-upgrade,pre-rollback")
        self.assertGreater(
            job["spec"]["activeDeadlineSeconds"],
            int(variables(Rendered().leave(), secrets={NAME: {"admin-password": ""}})["WAIT_SECONDS"]),
        )
        environment = variables(Rendered({"replicas": 4}).leave(), secrets={NAME: {"admin-password": "p"}})
        self.assertEqual(environment["REPLICAS"], "4")
        self.assertEqual(environment["PREFIX"], NAME)
        self.assertEqual(environment["ROLLCALL_ADMIN_URL"], f"http://{NAME}-admin.{NAMESPACE}.svc.cluster.local:8081")

    def test_claims_outlive_pods_unless_asked_otherwise(self):
        kept = Rendered().one("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
        self.assertEqual(kept, {"whenDeleted": "Retain", "whenScaled": "Retain"})
        gone = Rendered(values_in("everything")).one("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
        self.assertEqual(gone, {"whenDeleted": "Retain", "whenScaled": "Delete"})

    def test_nothing_scales_by_itself(self):
        for values in value_sets().values():
            self.assertEqual(Rendered(values).all("HorizontalPodAutoscaler"), [])

    def test_the_notes_warn_of_what_survives_nothing(self):
        # B-154: two nodes survive no failure.
        self.assertIn("WARNING: 2 nodes survive no failure", Rendered({"replicas": 2}, upgrade=True).notes)
        self.assertNotIn("WARNING", Rendered().notes)
        self.assertIn("kubectl scale", Rendered().notes)


class Checking(unittest.TestCase):
    """B-148: `helm test` connects, publishes and asks on every pod."""

    def test_every_pod_is_checked(self):
        for name, values in (("default", {}), ("five", values_in("five"))):
            rendered = Rendered(values)
            check = rendered.one("Pod")
            self.assertEqual(check["metadata"]["annotations"]["helm.sh/hook"], "test", name)
            hosts = variables(check["spec"]["containers"][0], secrets={NAME: {"admin-password": ""}})["HOSTS"].split()
            replicas = rendered.one("StatefulSet")["spec"]["replicas"]
            self.assertEqual(hosts, [f"{NAME}-{ordinal}.{DOMAIN}" for ordinal in range(replicas)])


class Packaging(unittest.TestCase):
    def test_the_chart_can_be_packed_and_read_again(self):
        with tempfile.TemporaryDirectory() as folder:
            packed = Chart.load(str(CHART)).save(folder)
            self.assertEqual(Chart.load_archive(Path(packed).read_bytes()).name, "rollcall")


if __name__ == "__main__":
    unittest.main()
