"""Rendering the chart with the engine that Helm itself is made of, and finding one's way in what comes out.

What does not belong here: what the documents must say, which is for the tests.
"""

from pathlib import Path

import yaml
from helm_python.chart import Chart

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "rollcall"
# The release that the checks render.
RELEASE = "rc"
NAMESPACE = "fleet"


class Rendered:
    """All documents of the chart for some values."""

    def __init__(self, values=None, upgrade=False):
        chart = Chart.load(str(CHART))
        values = values or {}
        chart.validate_schema(values)
        texts = chart.render(values, name=RELEASE, namespace=NAMESPACE, is_install=not upgrade, is_upgrade=upgrade)
        self.notes = next(text for path, text in texts.items() if path.endswith("NOTES.txt"))
        self.documents = [
            document
            for path, text in sorted(texts.items())
            if path.endswith(".yaml")
            for document in yaml.safe_load_all(text)
            if document
        ]

    def all(self, kind):
        """The documents of a kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind, name=None):
        """The only document of a kind, or of a kind and name."""
        found = [d for d in self.all(kind) if name is None or d["metadata"]["name"] == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} documents of kind {kind}, name {name}")
        return found[0]

    def pod(self):
        """What a node's pod is made from."""
        return self.one("StatefulSet")["spec"]["template"]["spec"]

    def node(self):
        """The container that is a node."""
        return self.pod()["containers"][0]

    def leave(self):
        """The container of the job that runs before an upgrade."""
        return self.one("Job")["spec"]["template"]["spec"]["containers"][0]


def values_in(name):
    """The values of a file in the chart's ci folder."""
    return yaml.safe_load((CHART / "ci" / f"{name}.yaml").read_text()) or {}


def value_sets():
    """Every set of values that the checks render, by name."""
    return {"default": {}} | {path.stem: values_in(path.stem) for path in sorted((CHART / "ci").glob("*.yaml"))}


def variables(container, fields=None, secrets=None):
    """A container's environment as the kubelet makes it: fields of the pod by path, keys of secrets by name and key, and
    `$(NAME)` of what stands before."""
    made = {}
    for entry in container.get("env", []):
        if "value" in entry:
            value = str(entry["value"])
            for name, known in made.items():
                value = value.replace(f"$({name})", known)
        elif "fieldRef" in entry["valueFrom"]:
            value = (fields or {})[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            key = entry["valueFrom"]["secretKeyRef"]
            value = (secrets or {})[key["name"]][key["key"]]
        made[entry["name"]] = value
    return made
