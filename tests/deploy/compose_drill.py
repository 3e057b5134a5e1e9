"""The compose cluster for real: the image is built from the Dockerfile on an engine that this starts itself, the services
come up, containers are killed, cut off and stopped, and every node is asked with the reference's curl line.

    python3 tests/deploy/compose_drill.py target/release/rollcall      the build stage takes this program
    python3 tests/deploy/compose_drill.py --from-source                the build stage compiles, with this machine's Rust

Grafana has no place where it could come from here and is left out; Prometheus is Debian's.
"""

import json
import signal
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from builder import add_builder
from clients import Device, Reconnects, answers, asked, awaited
from engine import STAND_IN, Engine, run, with_libraries

ROOT = Path(__file__).resolve().parents[2]
NODES = ["n1", "n2", "n3"]
USER, PASSWORD = "user0", "secret0"
# A dead node's clients are offline within its lease and a second; half of that more for a busy machine.
OFFLINE_S = 9
PROJECT = "rollcall-drill"


def url(node):
    return f"http://127.0.0.1:818{node[1]}"


def compose(*arguments, within=600):
    return run("docker-compose", "-p", PROJECT, *arguments, within=within, cwd=ROOT)


class Drill:
    def __init__(self):
        self.began = time.monotonic()
        self.devices = {}
        self.gone = set()
        self.questions = 0
        self.round = 0
        self.reconnects = Reconnects(self.say)

    def say(self, what):
        print(f"drill: {time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def container(self, node):
        return compose("ps", "-q", node).strip()

    def healthy(self, *nodes, within=90):
        def all_healthy():
            states = {
                node: run("docker", "inspect", "-f", "{{.State.Health.Status}}", self.container(node)).strip()
                for node in nodes
            }
            return all(state == "healthy" for state in states.values())

        awaited(f"{', '.join(nodes)} healthy", all_healthy, within, every=0.5)

    def connect(self):
        for device in self.devices.values():
            device.close()
        self.gone |= set(self.devices)
        self.round += 1
        self.devices = {}
        for node in NODES:
            client = f"device-{self.round}-{node}"
            self.devices[client] = awaited(
                f"{client} connects",
                lambda node=node, client=client: Device("127.0.0.1", client, USER, PASSWORD, 1880 + int(node[1])),
                20,
            )

    def ask(self, *nodes, within=20):
        """These nodes answer rightly about every device of now and of before."""
        for node in nodes:
            for client, device in self.devices.items():
                self.reconnects.look_after(device)
                self.ask_one(node, client, True, within)
            for client in [*sorted(self.gone), "never-seen"]:
                self.ask_one(node, client, False, within)

    def ask_one(self, node, client, online, within):
        self.questions += 1
        awaited(
            f"{node} says of {client}: {'online' if online else 'offline'}",
            lambda: answers(url(node), client, online, USER, PASSWORD),
            within,
        )

    def lose(self, node):
        """The device of this node is counted as gone."""
        client = f"device-{self.round}-{node}"
        self.devices.pop(client).close()
        self.gone.add(client)


def prometheus(path, **query):
    address = f"http://127.0.0.1:9090/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)["data"]


def watched(run_):
    """Prometheus reads three nodes, has all rules, and can evaluate whatever the dashboard asks."""
    awaited(
        "Prometheus reads three nodes",
        lambda: len([v for v in prometheus("query", query='up{job="rollcall"}')["result"] if v["value"][1] == "1"]) == 3,
        60,
    )
    rules = [rule["name"] for group in prometheus("rules")["groups"] for rule in group["rules"]]
    file = yaml.safe_load((ROOT / "helm/rollcall/alerts/rollcall.yml").read_text())
    assert sorted(rules) == sorted(rule["alert"] for group in file["groups"] for rule in group["rules"]), rules
    panels = json.loads((ROOT / "helm/rollcall/dashboards/rollcall.json").read_text())["panels"]
    full, empty = [], []
    for panel in panels:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$cluster", ".*").replace("$node", ".*")
            result = prometheus("query", query=expression)["result"]
            (full if result else empty).append(panel["title"])
    # What is empty counts rare things: drops, refusals, limits.
    assert len(full) > 3 * len(empty), f"panels without data: {empty}"
    run_.say(f"Prometheus: {len(rules)} rules; {len(full)} of the dashboard's expressions have data, without: {empty}")


def images(engine, program):
    """The images that the files name."""
    engine.add("debian:bookworm-slim", engine.debian(), 'CMD ["bash"]')
    files = {"/usr/local/bin/cargo": STAND_IN, "/opt/rollcall": program, **with_libraries("/usr/bin/strip")}
    engine.add_with("rust:1-bookworm", files)
    changes = ['ENTRYPOINT ["/usr/bin/prometheus"]', "RUN mkdir /prometheus && chown 65534 /prometheus", "USER 65534"]
    engine.add_with("prom/prometheus:v3.5.0", with_libraries("/usr/bin/prometheus"), *changes)


def images_from_source(engine):
    """The same, with a build image that compiles: a compiler and linker of Debian's, Rust and crates of this machine."""
    engine.add("debian:bookworm-slim", engine.debian(), 'CMD ["bash"]')
    add_builder(engine, "rust:1-bookworm")
    changes = ['ENTRYPOINT ["/usr/bin/prometheus"]', "RUN mkdir /prometheus && chown 65534 /prometheus", "USER 65534"]
    engine.add_with("prom/prometheus:v3.5.0", with_libraries("/usr/bin/prometheus"), *changes)


def cut(container, how):
    """Lets a container not reach other nodes, nor be reached by them (`-I`), or again (`-D`); clients reach it always."""
    pid = run("docker", "inspect", "-f", "{{.State.Pid}}", container).strip()
    for chain, port in (("INPUT", "--dport"), ("INPUT", "--sport"), ("OUTPUT", "--dport"), ("OUTPUT", "--sport")):
        run("nsenter", "-t", pid, "-n", "iptables", how, chain, "-p", "tcp", port, "7400", "-j", "DROP")


def drill(program):
    run_ = Drill()
    folder = ROOT / "target" / "containers"
    with Engine(folder, from_source=not program) as engine:
        if program:
            images(engine, program)
        else:
            images_from_source(engine)
        run_.say("base images made")
        compose("config", "-q")
        built = time.monotonic()
        compose("build", "n1", within=5400)
        size = int(run("docker", "image", "inspect", "-f", "{{.Size}}", "rollcall:local"))
        base = int(run("docker", "image", "inspect", "-f", "{{.Size}}", "debian:bookworm-slim"))
        run_.say(f"image built in {time.monotonic() - built:.0f} s: {size >> 20} MiB, {size - base >> 20} of them ours")
        if not (program and "debug" in program.parts):
            assert size - base < 40 << 20, "the image is not small"
        try:
            steps(run_)
        except BaseException:
            (folder / "nodes.log").write_text(compose("logs", "--no-color", *NODES))
            print(f"logs are in {folder / 'nodes.log'}")
            raise
        finally:
            compose("down", "-v", "--remove-orphans")
    run_.say(f"all held: {run_.questions} questions answered rightly")


def steps(run_):
    compose("up", "-d", *NODES, "prometheus")
    run_.healthy(*NODES)
    run_.say("three healthy nodes")
    identity = compose("exec", "-T", "n1", "id", "-u").strip()
    assert identity == "10001", identity
    run_.connect()
    run_.ask(*NODES)
    run_.say("every node answers about the devices of all")
    # A killed node: its device is offline everywhere within the lease, all others stay.
    began = time.monotonic()
    run("docker", "kill", run_.container("n1"))
    run_.lose("n1")
    run_.ask("n2", "n3", within=OFFLINE_S)
    run_.say(f"n1 killed: n2 and n3 answer rightly within {time.monotonic() - began:.1f} s")
    awaited(
        "the alert for the killed node is pending",
        lambda: any(a["labels"]["alertname"] == "RollcallNodeDown" for a in prometheus("alerts")["alerts"]),
        30,
    )
    compose("up", "-d", "n1")
    run_.healthy("n1")
    run_.ask(*NODES)
    run_.connect()
    run_.ask(*NODES)
    run_.say("n1 is back and answers")
    watched(run_)

    # A node cut off from the others, not from clients: it refuses, and never says offline of who is online.
    container = run_.container("n2")
    stays = f"device-{run_.round}-n3"
    cut(container, "-I")
    refused = 0
    end = time.monotonic() + 12
    while time.monotonic() < end:
        status, body = asked(url("n2"), stays, USER, PASSWORD)
        assert (status, body) == (200, '{"online":true}') or status == 503, (status, body)
        refused += status == 503
    assert refused and status == 503, "a node without a quorum has to refuse"
    run_.lose("n2")
    run_.ask("n1", "n3")
    run_.say(f"n2 cut off: it refused {refused} times and never lied; n1 and n3 answer rightly")
    awaited(
        "n2 is found unhealthy",
        lambda: run("docker", "inspect", "-f", "{{.State.Health.Status}}", container).strip() == "unhealthy",
        30,
    )
    cut(container, "-D")
    run_.healthy("n2")
    run_.connect()
    run_.ask(*NODES)
    run_.say("n2 healed by itself and answers")

    # A stop drains: no lease has to run out.
    container = run_.container("n3")
    began = time.monotonic()
    compose("stop", "n3")
    seconds = time.monotonic() - began
    code = run("docker", "inspect", "-f", "{{.State.ExitCode}}", container).strip()
    assert code == "0", f"n3 ended with {code}"
    run_.lose("n3")
    run_.ask("n1", "n2", within=2)
    run_.say(f"n3 stopped in {seconds:.1f} s with code 0; its device is offline at once")

    # All containers are made anew over the same volumes.
    compose("down")
    compose("up", "-d", *NODES, "prometheus")
    run_.healthy(*NODES)
    run_.gone |= set(run_.devices)
    run_.devices = {}
    run_.ask(*NODES)
    run_.connect()
    run_.ask(*NODES)
    members = json.loads(
        compose("exec", "-T", "-e", "ROLLCALL_PASSWORD=change-me-too", "n2", "rollcall", "nodes", "--user", "admin", "--json")
    )["nodes"]
    assert sorted((node["id"], node["name"]) for node in members) == [(1, "n1"), (2, "n2"), (3, "n3")], members
    run_.say("all containers made anew over their volumes: the same members")


if __name__ == "__main__":
    # A run that is ended takes its engine away, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    if len(sys.argv) != 2:
        sys.exit("usage: compose_drill.py PROGRAM | --from-source")
    drill(None if sys.argv[1] == "--from-source" else Path(sys.argv[1]).resolve())
