"""What a Kubernetes cluster does with the rendered chart, as far as a node can tell: pods as processes in network
namespaces, with volumes, secrets, an account without rights, and names that DNS answers with addresses of the moment.

A process that ends is started again, a pod that goes gets its preStop and SIGTERM, and the services name the pods that
are ready. What does not belong here: what the nodes must answer. Needs root, `ip`, `dnsmasq`, `setpriv` and `unshare`.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from clients import awaited
from rendering import NAMESPACE, variables

ACCOUNT = 10001
# Where the containers' paths are bound; made here if they are missing, and taken away again.
MOUNTS = [Path("/var/lib/rollcall"), Path("/etc/rollcall")]


def run(*command):
    """Runs a command that has to succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """A bridge with a DNS server on it; each pod is a namespace with one link."""

    def __init__(self, folder):
        self.id = f"rp{os.getpid()}"
        self.subnet = f"10.97.{os.getpid() % 250}"
        self.hosts = folder / "hosts"
        self.hosts.mkdir()
        self.namespaces = []
        self.names = {}
        self.taken = 10
        self.dns = None

    def open(self):
        """Builds the bridge, this program's own end, and the DNS server."""
        self.switch = self.namespace("sw")
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.switch, "addr", "add", f"{self.subnet}.1/24", "dev", "br0")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        run("ip", "link", "add", self.id, "type", "veth", "peer", "name", "tests", "netns", self.switch)
        run("ip", "-n", self.switch, "link", "set", "tests", "master", "br0", "up")
        run("ip", "addr", "add", f"{self.subnet}.254/24", "dev", self.id)
        run("ip", "link", "set", self.id, "up")
        self.write()
        self.dns = subprocess.Popen(
            ["ip", "netns", "exec", self.switch, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--local-ttl=0", "--pid-file=", "--user=root", f"--listen-address={self.subnet}.1",
             "--bind-interfaces", f"--addn-hosts={self.hosts / 'pods'}"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # A signal to read the names again would end one that has not come so far.
        awaited("the DNS server answers", self.answers, 20)

    def answers(self):
        """Whether the DNS server answers a question, whatever the answer."""
        if self.dns.poll() is not None:
            raise AssertionError(f"dnsmasq ended with {self.dns.returncode}")
        question = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05ready\x00\x00\x01\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            asking.connect((f"{self.subnet}.1", 53))
            asking.send(question)
            return asking.recv(512)[:2] == question[:2]

    def namespace(self, name):
        """A namespace of this run."""
        name = f"{self.id}{name}"
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        self.namespaces.append(name)
        return name

    def join(self, name, link):
        """A namespace with a link to the bridge, which asks the DNS server."""
        namespace = self.namespace(name)
        run("ip", "link", "add", link, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "-n", self.switch, "link", "set", link, "master", "br0", "up")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        resolver = Path("/etc/netns") / namespace
        resolver.mkdir(parents=True)
        (resolver / "resolv.conf").write_text(f"nameserver {self.subnet}.1\noptions timeout:1\n")
        return namespace

    def address(self, namespace):
        """Gives a namespace an address that nobody had before."""
        self.taken += 1
        run("ip", "-n", namespace, "addr", "flush", "dev", "eth0")
        run("ip", "-n", namespace, "addr", "add", f"{self.subnet}.{self.taken}/24", "dev", "eth0")
        return f"{self.subnet}.{self.taken}"

    def name(self, name, addresses):
        """What DNS answers from now on."""
        if self.names.get(name) != addresses:
            self.names[name] = addresses
            self.write()

    def write(self):
        lines = [f"{address} {name}\n" for name, addresses in self.names.items() for address in addresses]
        (self.hosts / "pods").write_text("".join(lines))
        if self.dns:
            self.dns.send_signal(signal.SIGHUP)

    def close(self):
        if self.dns:
            self.dns.terminate()
            self.dns.wait()
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], check=False)
            shutil.rmtree(Path("/etc/netns") / namespace, ignore_errors=True)
        subprocess.run(["ip", "link", "delete", self.id], check=False, stderr=subprocess.DEVNULL)


class Pod:
    """One pod of the StatefulSet: its claim stays when it goes."""

    def __init__(self, cluster, ordinal):
        self.cluster = cluster
        self.ordinal = ordinal
        self.name = f"{cluster.stateful_set['metadata']['name']}-{ordinal}"
        self.claim = cluster.folder / "claims" / f"data-{self.name}"
        self.claim.mkdir(parents=True, exist_ok=True)
        os.chown(self.claim, ACCOUNT, ACCOUNT)
        self.namespace = cluster.network.join(f"p{ordinal}", f"pod{ordinal}")
        self.process = None
        self.starts = 0
        self.ends = []
        self.wanted = False

    def schedule(self):
        """The pod is made: with a new address, at which the headless service names it at once."""
        self.template = self.cluster.stateful_set["spec"]["template"]["spec"]
        self.address = self.cluster.network.address(self.namespace)
        domain = f"{self.cluster.stateful_set['spec']['serviceName']}.{NAMESPACE}.svc.cluster.local"
        self.cluster.network.name(f"{self.name}.{domain}", [self.address])
        self.wanted = True
        self.start()

    def start(self):
        container = self.template["containers"][0]
        environment = variables(container, {"metadata.name": self.name}, self.cluster.secrets)
        self.starts += 1
        log = open(self.cluster.folder / f"{self.name}.log", "a")
        self.process = self.cluster.contained(
            self.namespace, container["command"] + container["args"], environment, log, self.claim
        )
        log.close()

    def ready(self):
        """What the readiness probe says."""
        return self.wanted and self.process.poll() is None and self.probe("readinessProbe")

    def probe(self, which):
        get = self.template["containers"][0][which]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self.template["containers"][0]["ports"]}
        try:
            with urllib.request.urlopen(f"http://{self.address}:{ports[get['port']]}{get['path']}", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        """The pod is deleted: preStop, SIGTERM. `stopped` waits."""
        self.wanted = False
        hook = self.template["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        self.deadline = time.monotonic() + self.template["terminationGracePeriodSeconds"]
        # The hook and the signal go their way while other pods stop, too.
        self.ending = subprocess.Popen(
            ["sh", "-c", 'pid=$1; shift; "$@"; kill -TERM "$pid"', "sh", str(self.process.pid), *hook]
        )

    def stopped(self):
        """Waits for a pod that stops; returns its exit code. One that does not end in time is killed."""
        self.ending.wait()
        try:
            code = self.process.wait(max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return code

    def url(self, port=8080):
        return f"http://{self.address}:{port}"


class Cluster:
    """The pods of one release."""

    def __init__(self, program, rendered, secrets):
        self.folder = Path(tempfile.mkdtemp(prefix="rollcall-pods-"))
        self.folder.chmod(0o755)
        (self.folder / "bin").mkdir()
        shutil.copy(program, self.folder / "bin" / "rollcall")
        (self.folder / "bin" / "rollcall").chmod(0o755)
        self.secrets = secrets
        self.rendered = rendered
        self.stateful_set = rendered.one("StatefulSet")
        self.mounted = self.folder / "mounted"
        self.mount_secrets()
        self.made = [place for place in MOUNTS if not place.exists()]
        for place in self.made:
            place.mkdir()
        self.network = Network(self.folder)
        self.pods = {}
        self.jobs = 0

    def __enter__(self):
        self.network.open()
        return self

    def __exit__(self, kind, error, trace):
        for pod in self.pods.values():
            if pod.process and pod.process.poll() is None:
                pod.process.kill()
                pod.process.wait()
        self.network.close()
        for place in self.made:
            place.rmdir()
        if error:
            print(f"logs and data stay in {self.folder}")
        else:
            shutil.rmtree(self.folder)

    def mount_secrets(self):
        """The projected secrets as files."""
        folder = self.mounted / "secrets"
        folder.mkdir(parents=True)
        volume = next(v for v in self.rendered.pod()["volumes"] if v["name"] == "secrets")
        for source in volume["projected"]["sources"]:
            for item in source["secret"]["items"]:
                file = folder / item["path"]
                file.write_text(self.secrets[source["secret"]["name"]][item["key"]])
                os.chown(file, 0, ACCOUNT)
                file.chmod(volume["projected"]["defaultMode"])

    def contained(self, namespace, command, environment, log, claim=None):
        """Starts a container's command: its network, its mounts, its account, and no other variables."""
        script = 'mount --bind "$1" /etc/rollcall; [ -z "$2" ] || mount --bind "$2" /var/lib/rollcall; shift 2; exec "$@"'
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, "unshare", "--mount", "sh", "-ec", script, "sh", str(self.mounted),
             str(claim or ""), "setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups",
             "--no-new-privs", "--inh-caps=-all", "env", "-i", f"PATH={path}",
             *(f"{name}={value}" for name, value in environment.items()), *command],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip

    def running(self):
        return [pod for pod in self.pods.values() if pod.wanted]

    def tend(self):
        """What happens by itself in a cluster: ended containers start again, services follow readiness. True when all
        pods are ready."""
        for pod in self.running():
            code = pod.process.poll()
            if code is not None:
                pod.ends.append(code)
                pod.start()
        ready = [pod for pod in self.running() if pod.ready()]
        name = self.stateful_set["metadata"]["name"]
        for service in ("admin", "mqtt", "http"):
            addresses = [pod.address for pod in ready]
            self.network.name(f"{name}-{service}.{NAMESPACE}.svc.cluster.local", addresses)
        return len(ready) == len(self.running())

    def all_ready(self, within):
        """Waits until every pod is ready; returns the seconds it took."""
        began = time.monotonic()
        awaited("all pods are ready", self.tend, within)
        return time.monotonic() - began

    def install(self):
        self.follow(self.rendered)

    def upgrade(self, rendered, within=300):
        """`helm upgrade`: the job first, and the new objects only if it succeeds."""
        code, output = self.hook(rendered.leave(), within)
        if code:
            raise AssertionError(f"the job before the upgrade failed: {output}")
        self.follow(rendered)
        return output

    def hook(self, container, within):
        """Runs a hook's container; returns its exit code and output, while the cluster is tended."""
        self.jobs += 1
        namespace = self.network.join(f"j{self.jobs}", f"job{self.jobs}")
        self.network.address(namespace)
        log = open(self.folder / f"hook-{self.jobs}.log", "w+")
        environment = variables(container, secrets=self.secrets)
        process = self.contained(namespace, container["command"] + container["args"], environment, log)
        try:
            awaited("the hook has ended", lambda: (self.tend(), process.poll() is not None)[1], within)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        output = log.read()
        log.close()
        return process.returncode, output

    def follow(self, rendered):
        """What the StatefulSet's controller does with the new object."""
        before, self.stateful_set = self.stateful_set, rendered.one("StatefulSet")
        replicas = self.stateful_set["spec"]["replicas"]
        going = [pod for pod in self.running() if pod.ordinal >= replicas]
        for pod in going:
            pod.stop()
        for pod in going:
            pod.stopped()
        if before["spec"]["template"] != self.stateful_set["spec"]["template"]:
            for pod in sorted(self.running(), key=lambda pod: -pod.ordinal):
                pod.stop()
                pod.stopped()
                pod.schedule()
                self.all_ready(120)
        for ordinal in range(replicas):
            if ordinal not in self.pods:
                self.pods[ordinal] = Pod(self, ordinal)
            if not self.pods[ordinal].wanted:
                self.pods[ordinal].schedule()

    def delete_all_pods(self):
        """All pods go at once and come back at once, each at another address, with its claim."""
        pods = self.running()
        for pod in pods:
            pod.stop()
        codes = [pod.stopped() for pod in pods]
        for pod in pods:
            pod.schedule()
        return codes

    def delete_claim(self, ordinal):
        """`kubectl delete pvc` of a pod that is gone."""
        shutil.rmtree(self.pods[ordinal].claim)
        self.pods[ordinal].claim.mkdir()
        os.chown(self.pods[ordinal].claim, ACCOUNT, ACCOUNT)
