"""What the rendered chart does: its arguments, variables, files and hooks, run as three, then five, then three nodes in
network namespaces with DNS names; then all pods come back at once under other addresses, and a change of settings rolls
through. After each step every node is asked about every device.

B-141: install, scale 3 to 5 to 3, rolling restart, node loss. B-143, B-145: all pods at once. B-150: restart is not
leave. B-151: shrinking is a step with a check.

    python3 tests/deploy/chart_drill.py target/debug/rollcall
"""

import base64
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from clients import Device, Reconnects, answers, awaited
from pods import Cluster
from rendering import Rendered, value_sets, variables

SECRET = "rc-rollcall"
SECRETS = {SECRET: {"cluster-secret": "a-secret-of-the-drill", "admin-password": "admin-of-the-drill"}}
USER, PASSWORD = "admin", SECRETS[SECRET]["admin-password"]
# Pods that are started are ready within this, on a busy machine as well.
READY_S = 120
# All pods restarted at once serve again within this.
RESTART_S = 60


class Drill:
    def __init__(self, cluster):
        self.cluster = cluster
        self.devices = {}
        self.gone = set()
        self.rounds = 0
        self.questions = 0
        self.began = time.monotonic()
        self.reconnects = Reconnects(self.say)

    def say(self, what):
        print(f"drill: {time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def connect(self):
        """A new device on every pod, and those of before go."""
        for device in self.devices.values():
            device.close()
        self.gone |= set(self.devices)
        self.rounds += 1
        self.devices = {}
        for pod in self.cluster.running():
            client = f"device-{self.rounds}-{pod.ordinal}"
            self.devices[client] = awaited(
                f"{client} connects", lambda pod=pod, client=client: Device(pod.address, client, USER, PASSWORD), 20
            )

    def ask_everywhere(self, but=None):
        """Every node says of every device, of those of before, and of one never seen, what is."""
        began, before = time.monotonic(), self.questions
        pods = [pod for pod in self.cluster.running() if pod is not but]
        for pod in pods:
            for client, device in self.devices.items():
                self.reconnects.look_after(device)
                self.ask(pod, client, True)
            for client in [*sorted(self.gone), "never-seen"]:
                self.ask(pod, client, False)
        number = self.questions - before
        self.say(f"{number} questions on {len(pods)} nodes answered rightly, {time.monotonic() - began:.1f} s")

    def ask(self, pod, client, online):
        self.questions += 1
        awaited(
            f"{pod.name} says of {client}: {'online' if online else 'offline'}",
            lambda: answers(pod.url(), client, online, USER, PASSWORD),
            20,
        )

    def members(self):
        """Names and ids of the members, as the first pod that runs knows them."""
        pod = self.cluster.running()[0]
        account = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(pod.url(8081) + "/api/v1/nodes", headers={"Authorization": f"Basic {account}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            nodes = json.load(answer)["nodes"]
        return {node["name"]: node["id"] for node in nodes}

    def checked(self, rendered):
        """What `helm test` runs."""
        code, output = self.cluster.hook(rendered.one("Pod")["spec"]["containers"][0], 300)
        assert code == 0, f"helm test failed:\n{output}"
        self.say(f"helm test: {output.strip().splitlines()[-1]}")


def settings_are_understood(program):
    """What the chart sets for any of its values, the program takes: it prints the settings, or says what is wrong."""
    for name, values in value_sets().items():
        rendered = Rendered(values)
        fields = {"metadata.name": "presence-0", "metadata.labels['topology.kubernetes.io/zone']": "z1"}
        environment = variables(rendered.node(), fields)
        with tempfile.TemporaryDirectory() as folder:
            for key, value in environment.items():
                if key.endswith("_FILE"):
                    environment[key] = value.replace("/etc/rollcall", folder)
                    file = Path(environment[key])
                    file.parent.mkdir(exist_ok=True)
                    file.write_text("a-secret")
            ran = subprocess.run(
                [program, "config", "show"], env=environment, capture_output=True, text=True, check=False
            )
        assert ran.returncode == 0, f"values {name}: {ran.stderr}"
        unknown = [key for key in environment if "__" in key and key not in ran.stdout]
        assert not unknown, f"values {name}: nothing is set by {unknown}: {ran.stdout}"


def drill(program):
    settings_are_understood(program)
    three, five = Rendered(), Rendered({"replicas": 5}, upgrade=True)
    with Cluster(program, three, SECRETS) as cluster:
        run = Drill(cluster)
        cluster.install()
        run.say(f"installed: three pods ready after {cluster.all_ready(READY_S):.1f} s")
        run.connect()
        run.ask_everywhere()
        run.checked(three)
        founders = run.members()

        output = cluster.upgrade(five)
        assert "no member has to go" in output, output
        run.say(f"3 to 5: all ready after {cluster.all_ready(READY_S):.1f} s")
        # Scaling out has restarted nobody, so the devices of before are where they were.
        run.ask_everywhere()
        run.connect()
        run.ask_everywhere()
        run.checked(five)
        members = run.members()
        assert len(members) == 5 and founders.items() <= members.items(), members

        # A job that must not let anybody go: one that stays is down.
        down = cluster.pods[1]
        down.wanted = False
        down.process.send_signal(signal.SIGKILL)
        down.process.wait()
        back = Rendered({"replicas": 3}, upgrade=True)
        awaited("the killed node is known to be down", lambda: "down" in nodes_table(cluster), 30)
        code, output = cluster.hook(back.leave(), 60)
        assert code == 1 and "nothing leaves while a member that stays is down" in output, output
        assert len(run.members()) == 5
        down.schedule()
        run.say(f"refused to shrink while {down.name} was down; it is back after {cluster.all_ready(READY_S):.1f} s")

        run.connect()
        began = time.monotonic()
        output = cluster.upgrade(back)
        assert "rc-rollcall-4 has left" in output and "rc-rollcall-3 has left" in output, output
        cluster.all_ready(READY_S)
        run.say(f"5 to 3: the job let two members leave; {time.monotonic() - began:.1f} s with the pods' ends")
        assert run.members() == founders, run.members()
        for client in [f"device-{run.rounds}-3", f"device-{run.rounds}-4"]:
            run.devices.pop(client).close()
            run.gone.add(client)
        run.ask_everywhere()
        run.connect()
        run.ask_everywhere()
        run.checked(back)

        # All pods at once, every address another one.
        before = {pod.address for pod in cluster.running()}
        codes = cluster.delete_all_pods()
        assert codes == [0, 0, 0], f"a drain did not end in time: {codes}"
        assert not before & {pod.address for pod in cluster.running()}
        seconds = cluster.all_ready(RESTART_S)
        run.say(f"all pods at once under other addresses: ready after {seconds:.1f} s")
        run.gone |= set(run.devices)
        run.devices = {}
        run.ask_everywhere()
        run.connect()
        run.ask_everywhere()
        assert run.members() == founders, "a restart is not a leave, and not a join"

        # A change of settings rolls through, one pod after the other; the devices of the others stay.
        changed = Rendered({"replicas": 3, "config": {"limits": {"client_filters": 50}}}, upgrade=True)
        cluster.upgrade(changed)
        cluster.all_ready(READY_S)
        assert run.members() == founders
        run.gone |= set(run.devices)
        run.devices = {}
        run.connect()
        run.ask_everywhere()
        run.say("a change of settings rolled through")

        # A node that left does not come back with its old data; with an empty claim it does.
        returned = cluster.pods[3]
        returned.ends.clear()
        four = Rendered({"replicas": 4, "config": {"limits": {"client_filters": 50}}}, upgrade=True)
        cluster.upgrade(four)
        awaited("the pod with the data of a member that left ends", lambda: (cluster.tend(), returned.ends)[1], 60)
        assert returned.ends[0] != 0 and run.members() == founders, returned.ends
        run.ask_everywhere(but=returned)
        run.say("a pod with the data of a member that left does not start, and the others go on")
        returned.stop()
        returned.stopped()
        cluster.delete_claim(3)
        returned.schedule()
        run.say(f"3 to 4 with an empty claim: ready after {cluster.all_ready(READY_S):.1f} s")
        run.connect()
        run.ask_everywhere()

        # `kubectl scale` runs no hook: the pod drains and stays a member, until the next upgrade's job lets it leave.
        returned.stop()
        code = returned.stopped()
        assert code == 0 and len(run.members()) == 4, (code, run.members())
        output = cluster.upgrade(Rendered({"replicas": 3, "config": {"limits": {"client_filters": 50}}}, upgrade=True))
        assert "rc-rollcall-3 has left" in output and run.members() == founders, output
        client = f"device-{run.rounds}-3"
        run.devices.pop(client).close()
        run.gone.add(client)
        run.ask_everywhere()
        run.say("a pod that was scaled away was down, and left with the next upgrade")
        run.say(f"all held: {run.questions} questions answered rightly")


def nodes_table(cluster):
    """`rollcall nodes`, asked of the first pod that is ready."""
    pod = next(pod for pod in cluster.running() if pod.ready())
    return subprocess.run(
        [cluster.folder / "bin" / "rollcall", "nodes", "--url", pod.url(8081), "--user", USER, "--password", PASSWORD],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    # A run that is ended takes its namespaces away, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: chart_drill.py PROGRAM, the rollcall binary")
    drill(Path(sys.argv[1]).resolve())
