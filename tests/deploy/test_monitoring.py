"""The dashboard and the alert rules against the names that the code exports, and the rules against made-up histories.

Every metric that they use must be one that the code counts, with the labels it has there, and a histogram's series must
be a histogram's. Expressions are parsed, and alerts tried, by `promtool`.
"""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from rendering import CHART, ROOT, Rendered, values_in

DASHBOARD = CHART / "dashboards" / "rollcall.json"
ALERTS = CHART / "alerts" / "rollcall.yml"
# Put on every series when it is scraped.
SCRAPED = {"cluster", "node", "job", "le"}
DATASOURCE = "${datasource}"


def exported():
    """Each metric that the code exports: its kind, and the labels it is given."""
    found = {}
    for crate in sorted((ROOT / "crates").iterdir()):
        sources = [path.read_text() for path in sorted(crate.glob("src/**/*.rs"))]
        constants = {}
        for text in sources:
            constants |= dict(re.findall(r'const (\w+): &str\s*=\s*"(rollcall_\w+)"', text))
        for text in sources:
            for kind, rest in re.findall(r"(?<!describe_)\b(counter|gauge|histogram)!\(((?:[^()]|\([^()]*\))*)\)", text):
                first = rest.split(",", 1)[0].strip()
                name = constants.get(first.rsplit("::", 1)[-1], first.strip('"'))
                if name.startswith("rollcall_"):
                    known = found.setdefault(name, (kind, set()))
                    known[1].update(re.findall(r'"(\w+)"\s*=>', rest))
    return found


def expressions():
    """Where each expression stands, and what it is."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]


def complaints_about(expression, known):
    """What is wrong with the names of an expression."""
    wrong = []
    without_values = re.sub(r'"[^"]*"', '""', expression)
    used = re.findall(r"\b(rollcall_\w+)(\{[^}]*\})?", without_values)
    labels = set()
    for series, selector in used:
        name = re.sub(r"_(bucket|sum|count)$", "", series)
        if series in known:
            kind, has = known[series]
            if kind == "histogram":
                wrong.append(f"{series} is a histogram: it has _bucket, _sum and _count")
        elif name in known and known[name][0] == "histogram":
            kind, has = known[name]
        else:
            wrong.append(f"{series} is not exported")
            continue
        labels |= has
        for label in re.findall(r"(\w+)\s*[=!]", selector or ""):
            if label not in has | SCRAPED:
                wrong.append(f"{series} has no label {label}")
    for group in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", without_values):
        for label in re.findall(r"\w+", group):
            if label not in labels | SCRAPED:
                wrong.append(f"nothing here has the label {label}: {expression}")
    return wrong


def promtool(*arguments):
    """Runs promtool, which comes with Prometheus."""
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


class Names(unittest.TestCase):
    def test_the_code_is_read_rightly(self):
        known = exported()
        self.assertGreater(len(known), 50)
        self.assertEqual(known["rollcall_status_query_seconds"][0], "histogram")
        self.assertEqual(known["rollcall_status_queries_total"], ("counter", {"code"}))
        self.assertEqual(known["rollcall_raft_leader"], ("gauge", {"group"}))

    def test_every_metric_that_is_shown_or_alarms_is_exported_with_its_labels(self):
        known = exported()
        wrong = [f"{place}: {what}" for place, text in expressions() for what in complaints_about(text, known)]
        self.assertEqual(wrong, [])

    def test_a_wrong_name_would_be_noticed(self):
        known = exported()
        for expression in (
            "rollcall_connection",
            "rollcall_connections_bucket",
            "rollcall_status_query_seconds",
            'rollcall_connections{color="red"}',
            "sum by (reason) (rollcall_connections)",
        ):
            self.assertEqual(len(complaints_about(expression, known)), 1, expression)

    def test_the_alarms_that_users_are_promised_are_there(self):
        # B-005: an alarm where sockets and records disagree for long.
        alerts = {place.removeprefix("alert "): text for place, text in expressions() if place.startswith("alert ")}
        self.assertIn("rollcall_presence_mismatch > 0", alerts["RollcallPresenceMismatch"])
        for group in yaml.safe_load(ALERTS.read_text())["groups"]:
            for rule in group["rules"]:
                self.assertIn(rule["labels"]["severity"], {"critical", "warning", "info"})
                self.assertEqual(set(rule["annotations"]), {"summary", "description"})


class Board(unittest.TestCase):
    def test_panels_have_room_a_source_and_a_description(self):
        board = json.loads(DASHBOARD.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            cells = {(column, line) for column in columns for line in lines}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            if panel["type"] != "row":
                self.assertTrue(panel["description"], panel["title"])
                self.assertEqual(panel["datasource"]["uid"], DATASOURCE)
        variables = {variable["name"] for variable in board["templating"]["list"]}
        self.assertEqual(variables, {"datasource", "cluster", "node"})

    def test_the_chart_carries_the_same_files(self):
        rendered = Rendered(values_in("everything"))
        self.assertEqual(json.loads(rendered.one("ConfigMap")["data"]["rollcall.json"]), json.loads(DASHBOARD.read_text()))
        self.assertEqual(rendered.one("PrometheusRule")["spec"], yaml.safe_load(ALERTS.read_text()))


@unittest.skipUnless(shutil.which("promtool"), "promtool is not installed (Debian: prometheus)")
class Expressions(unittest.TestCase):
    def test_the_alert_rules_are_rules(self):
        checked = promtool("check", "rules", ALERTS)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_dashboard_s_expressions_parse(self):
        rules = []
        for number, (place, text) in enumerate(expressions()):
            if place.startswith("panel "):
                text = text.replace("$__rate_interval", "1m").replace("$cluster", ".*").replace("$node", ".*")
                self.assertNotIn("$", text, place)
                rules.append({"record": f"panel:{number}", "expr": text})
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "dashboard.yml"
            file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
            checked = promtool("check", "rules", file)
            self.assertEqual(checked.returncode, 0, checked.stderr)
            file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [{"record": "x:y", "expr": "sum(("}]}]}))
            self.assertNotEqual(promtool("check", "rules", file).returncode, 0)

    def test_alerts_fire_when_they_should_and_only_then(self):
        histories = ROOT / "tests" / "deploy" / "alerts_test.yml"
        rules = yaml.safe_load(ALERTS.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                del rule["annotations"]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "rules.yml").write_text(yaml.safe_dump(rules))
            shutil.copy(histories, folder)
            tried = promtool("test", "rules", Path(folder) / histories.name)
        self.assertEqual(tried.returncode, 0, tried.stdout + tried.stderr)
        cases = [case for test in yaml.safe_load(histories.read_text())["tests"] for case in test["alert_rule_test"]]
        fired = {case["alertname"] for case in cases if case.get("exp_alerts")}
        self.assertEqual(fired, {rule["alert"] for group in rules["groups"] for rule in group["rules"]})


if __name__ == "__main__":
    unittest.main()
