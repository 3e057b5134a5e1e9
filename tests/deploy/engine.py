"""A Docker engine of our own, in a network namespace of its own, with images that come from nowhere but this machine.

Its bridges, rules and published ports are in that namespace, so that nothing of the machine's is touched; this process
moves there, too. Base images are made by debootstrap; the one that the Dockerfile builds in carries this machine's Rust.
What does not belong here: what the containers do. Needs root, `docker`, `dockerd`, `debootstrap`.
"""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

from clients import awaited

CLONE_NEWNET = 0x40000000
# What stands in for cargo where the program is not compiled in the container: it hands over the one that was built.
STAND_IN = """#!/bin/sh
# The program was built outside; this puts it where a build would.
[ "$1" = build ] && mkdir -p target/release && cp /opt/rollcall target/release/rollcall
"""


def run(*command, within=600, **options):
    """Runs a command that has to succeed; returns what it printed."""
    parts = [str(part) for part in command]
    done = subprocess.run(parts, capture_output=True, text=True, check=False, timeout=within, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(parts)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def enter_network(name):
    """Makes a network namespace and moves this process into it."""
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    with open(f"/run/netns/{name}") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def mirror():
    """Where this machine gets its Debian from."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    lines = [line for file in files if file.is_file() for line in file.read_text().splitlines()]
    found = re.search(r"https?://\S+/debian\b", "\n".join(line for line in lines if not line.startswith("#")))
    return found[0] if found else ""


class Engine:
    def __init__(self, folder, from_source=False):
        self.folder = folder
        self.from_source = from_source
        self.network = f"rd{os.getpid()}"
        self.data = folder / f"data-{os.getpid()}"
        self.context = folder / f"context-{os.getpid()}"
        # The socket's path has to be short.
        self.run = Path(f"/tmp/{self.network}")
        self.process = None

    def __enter__(self):
        # What runs that were killed have left; they are dead if their pid is.
        for left in [*self.folder.glob("data-*"), *self.folder.glob("context-*")]:
            if not Path("/proc", left.name.rsplit("-", 1)[1]).exists():
                shutil.rmtree(left, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run.mkdir()
        # While this process still has the machine's network.
        self.debian()
        if self.from_source:
            self.build_root()
        enter_network(self.network)
        socket = f"unix://{self.run}/docker.sock"
        self.log = open(self.folder / "dockerd.log", "w")
        self.process = subprocess.Popen(
            ["dockerd", "--data-root", str(self.data), "--exec-root", str(self.run / "exec"), "-H", socket,
             "--pidfile", str(self.run / "pid"), "--bip", "10.78.0.1/24"],
            stdout=self.log, stderr=self.log,
        )  # fmt: skip
        os.environ["DOCKER_HOST"] = socket
        # One machine needs no BuildKit, and the Dockerfile must not either.
        os.environ["DOCKER_BUILDKIT"] = "0"
        os.environ["COMPOSE_DOCKER_CLI_BUILD"] = "0"
        awaited(
            "the engine answers",
            lambda: subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0,
            60,
        )
        return self

    def __exit__(self, kind, error, trace):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        for mounted in sorted((self.run / "exec").glob("netns/*")):
            subprocess.run(["umount", str(mounted)], check=False, capture_output=True)
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        run("ip", "netns", "delete", self.network)

    def debian(self):
        """A small Debian of this machine's release, as a folder; made once."""
        return self.root("debian", "ca-certificates,netbase")

    def build_root(self):
        """The same with what a Rust program is linked by."""
        return self.root("debian-build", "ca-certificates,netbase,gcc,libc6-dev,binutils")

    def root(self, name, packages):
        root = self.folder / name
        if not (root / "made").exists():
            shutil.rmtree(root, ignore_errors=True)
            release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())[1]
            sources = filter(None, [mirror()])
            run("debootstrap", "--variant=minbase", f"--include={packages}", release, root, *sources, within=1200)
            for cache in [*(root / "var/cache/apt/archives").glob("*.deb"), *(root / "var/lib/apt/lists").glob("*")]:
                shutil.rmtree(cache) if cache.is_dir() else cache.unlink()
            (root / "made").touch()
        return root

    def add(self, name, folder, *changes):
        """Imports a folder as an image."""
        options = [part for change in changes for part in ("-c", change)]
        tar = subprocess.Popen(["tar", "-C", str(folder), "--exclude=./made", "-c", "."], stdout=subprocess.PIPE)
        done = subprocess.run(
            ["docker", "import", *options, "-", name], stdin=tar.stdout, capture_output=True, text=True, check=False
        )
        tar.stdout.close()
        assert tar.wait() == 0 and done.returncode == 0, done.stderr

    def add_with(self, name, files, *changes, base="debian:bookworm-slim"):
        """An image that is the base and these files of the machine: container's path to the machine's path or text."""
        context = self.context
        context.mkdir()
        for place, source in files.items():
            target = context / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Path):
                shutil.copy(source, target, follow_symlinks=True)
            else:
                target.write_text(source)
                target.chmod(0o755)
        lines = [f"FROM {base}", "COPY . /", *changes]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        run("docker", "build", "-q", "-t", name, context)
        shutil.rmtree(context)


def with_libraries(program):
    """A program of this machine, and the libraries that it loads, at the same paths."""
    files = {str(program): Path(program).resolve()}
    for line in run("ldd", program).splitlines():
        path = next((word for word in line.split() if word.startswith("/")), None)
        if path and "libc.so" not in path and "ld-linux" not in path:
            # `/lib` is a link to `/usr/lib`, which a folder of that name would replace.
            files[path if path.startswith("/usr") else f"/usr{path}"] = Path(path).resolve()
    return files
