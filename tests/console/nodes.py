"""Three real nodes on free ports of the loopback interface, with an account of each role.

What does not belong here: what is asked of them.
"""

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request

from waiting import awaited

PASSWORD = "of-the-console-test"
# Any name of a role is a user of that role.
ROLES = ("admin", "operator", "viewer", "client")
# Three nodes on a busy machine have formed a cluster within this.
READY_S = 90
STOP_S = 20


def free_ports(number):
    """Ports that nobody has at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Node:
    def __init__(self, program, folder, name, ports, seeds):
        self.program, self.folder, self.name = program, folder, name
        self.mqtt, self.http, self.admin, self.mesh = ports
        self.url = f"http://127.0.0.1:{self.admin}/"
        self.process = None
        users = "".join(
            f'[[auth.bootstrap_users]]\nusername = "{role}"\npassword = "{PASSWORD}"\nrole = "{role}"\n' for role in ROLES
        )
        self.config = folder / f"{name}.toml"
        self.config.write_text(
            f'[node]\nname = "{name}"\ndata_dir = "{folder / name}"\nadvertise_host = "127.0.0.1"\n'
            f'[cluster]\nname = "console"\nseeds = {json.dumps(seeds)}\nexpect_nodes = 3\nsecret = "of-the-test"\n'
            f'[listeners]\nmqtt = "127.0.0.1:{self.mqtt}"\nhttp = "127.0.0.1:{self.http}"\n'
            f'admin = "127.0.0.1:{self.admin}"\nmesh = "127.0.0.1:{self.mesh}"\n'
            f"[limits]\nmessages_per_second = 10000\nconnections = 1000\n{users}"
        )

    def start(self):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            command = [self.program, "server", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "NO_COLOR": "1"})

    def ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}readyz", timeout=2) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def kill(self):
        """Without a word, as a machine that loses its power."""
        self.process.kill()
        self.process.wait()

    def running(self):
        return self.process is not None and self.process.poll() is None


class Nodes:
    """The three of them, stopped at the end."""

    def __init__(self, program, folder):
        ports = free_ports(12)
        meshes = [f"127.0.0.1:{ports[4 * n + 3]}" for n in range(3)]
        self.all = [Node(program, folder, f"n{n + 1}", ports[4 * n : 4 * n + 4], meshes) for n in range(3)]
        self.folder = folder

    def __enter__(self):
        try:
            for node in self.all:
                node.start()
            for node in self.all:
                awaited(f"{node.name} is ready", node.ready, READY_S)
        except BaseException:
            self.__exit__(AssertionError, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            for node in self.all:
                print(f"--- {node.name}, the end of its log")
                log = self.folder / f"{node.name}.log"
                print("\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "none")
        # All at once: one that is left alone waits for the others before it ends.
        running = [node for node in self.all if node.running()]
        for node in running:
            node.process.terminate()
        for node in running:
            try:
                node.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                node.kill()
