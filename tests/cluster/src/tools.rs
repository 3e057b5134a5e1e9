//! What a scenario needs of the machine: programs, root, loop devices. What is missing leaves the scenario out, aloud;
//! with `ROLLCALL_SCENARIOS_ALL` set it fails instead.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the scenario can run. Says so on standard error, past the test runner's capture, when it cannot.
#[must_use]
pub fn available(scenario: &str, need: &str, there: bool) -> bool {
    if there {
        return true;
    }
    assert!(
        std::env::var_os("ROLLCALL_SCENARIOS_ALL").is_none(),
        "{scenario} needs {need}, and ROLLCALL_SCENARIOS_ALL is set"
    );
    // The handle itself is not captured, unlike the printing macros.
    drop(writeln!(std::io::stderr(), "\n*** LEFT OUT: {scenario}: needs {need} ***\n"));
    false
}

/// Whether a program of that name is on the path.
#[must_use]
pub fn program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this machine lets us make network namespaces.
#[must_use]
pub fn namespaces() -> bool {
    static PROBES: AtomicU32 = AtomicU32::new(0);
    // Tests that look at the same time must not find each other's.
    let probe = format!("rcprobe{}n{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
    let made = is_root() && program("ip") && run("ip", &["netns", "add", &probe]).is_ok();
    if made {
        drop(run("ip", &["netns", "delete", &probe]));
    }
    made
}

/// Whether this machine lets us mount files as disks, and cut their power.
#[must_use]
pub fn loop_disks() -> bool {
    is_root()
        && ["losetup", "mkfs.ext4", "mount", "umount", "python3"].iter().all(|name| program(name))
        && run("losetup", &["--find"]).is_ok()
}

/// A Python that can import the paho client: the one in `target/interop-venv`, or the system's.
#[must_use]
pub fn python_with_paho() -> Option<PathBuf> {
    let root = crate::binary::workspace_root();
    let imports = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", "import paho.mqtt.client"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    [root.join("target/interop-venv/bin/python3"), PathBuf::from("python3")].into_iter().find(imports)
}

/// Where MQTT.js is, if Node.js is there too: what it is required by.
#[must_use]
pub fn mqtt_js() -> Option<PathBuf> {
    let module = crate::binary::workspace_root().join("target/interop-node/node_modules/mqtt");
    (program("node") && module.is_dir()).then_some(module)
}

/// What scenarios with the Paho library for C need.
pub const PAHO_C_NEED: &str = "a C compiler and the packages libpaho-mqtt1.3 and libpaho-mqtt-dev";

/// Whether programs on the Paho library for C can be built here.
#[must_use]
pub fn paho_c() -> bool {
    let probe = ["-include", "MQTTClient.h", "-x", "c", "-fsyntax-only", "/dev/null"];
    program("cc") && Command::new("cc").args(probe).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Builds a program on the Paho library for C.
///
/// # Errors
/// What the compiler said.
pub fn compile_with_paho_c(source: &Path, program: &Path) -> Result<(), String> {
    let (source, program) = (source.to_string_lossy(), program.to_string_lossy());
    let arguments = ["-O1", "-Wall", "-Wextra", "-Werror", &source, "-o", &program, "-lpaho-mqtt3c", "-lpthread"];
    run("cc", &arguments).map(drop)
}

/// Runs a program to its end.
///
/// # Errors
/// The command and what it said on standard error, when it fails.
pub fn run(program: &str, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
