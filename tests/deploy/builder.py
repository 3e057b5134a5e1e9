"""The image in which the Dockerfile compiles, where none can be pulled: Debian's linker, and this machine's Rust with the
crates that it has fetched.

What does not belong here: the engine, and what is built.
"""

import os
import shutil
import subprocess
from pathlib import Path

from engine import run


def add_builder(engine, name):
    """Imports it under the name that the Dockerfile asks for. The crates come along: the build asks no registry."""
    root = engine.build_root()
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    parts = {
        "usr/local/rust/bin": Path(sysroot()) / "bin",
        "usr/local/rust/lib": Path(sysroot()) / "lib",
        "usr/local/cargo/registry": home / "registry",
    }
    mounted = []
    try:
        for place, source in parts.items():
            target = root / place
            target.mkdir(parents=True, exist_ok=True)
            run("mount", "--bind", source, target)
            mounted.append(target)
        engine.add(
            name,
            root,
            "ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ENV CARGO_HOME=/usr/local/cargo",
            "ENV CARGO_NET_OFFLINE=true",
        )
    finally:
        for target in mounted:
            subprocess.run(["umount", str(target)], check=False)
        shutil.rmtree(root / "usr/local/cargo", ignore_errors=True)


def sysroot():
    return run("rustc", "--print", "sysroot").strip()
