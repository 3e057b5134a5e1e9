//! Faults of the machine beneath one node: syncs that are slow or fail, a full or lost disk, a wall clock that jumps, a
//! processor that others use; and a restart in turn. What does not belong here: the network.

use crate::cells::last;
use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::deadline::until;
use rollcall_test_cluster::tools::run;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The library that gives a process a clock of its own, in its Debian package.
pub const CLOCK_LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// Room of the disk that fills up.
const DISK_BYTES: &str = "size=64m";
const SOON: Duration = Duration::from_secs(10);
/// A drain, with what a busy machine adds.
const STOPS_WITHIN: Duration = Duration::from_secs(40);
/// How far ahead the clocks of a node are that starts elsewhere: more than eleven days.
const CLOCK_OFFSET_S: u64 = 1_000_000;
/// Memory that a limited node may take from then on.
const MEMORY_BYTES: &str = "65536";
/// How long a starved node stands still at a time.
const STANDS_STILL: Duration = Duration::from_millis(45);

/// A fault beneath one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemFault {
    /// Each sync takes 200 ms more.
    SlowSync,
    /// Every sync fails.
    SyncError,
    /// The wall clock jumps by so many seconds, and back when the fault heals.
    ClockJump(i32),
    /// No room on the disk.
    DiskFull,
}

/// Restarts the target on what the fault needs.
pub fn prepare(fault: SystemFault, cluster: &mut Cluster, target: usize) {
    match fault {
        SystemFault::SlowSync | SystemFault::SyncError => return,
        SystemFault::ClockJump(_) => {
            let file = clock_file(cluster, target);
            std::fs::write(&file, "+0").expect("the clock file");
            let node = &mut cluster.nodes[target];
            node.set_variable("LD_PRELOAD", CLOCK_LIBRARY);
            node.set_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            node.set_variable("FAKETIME_NO_CACHE", "1");
            node.set_variable("FAKETIME_TIMESTAMP_FILE", &file.to_string_lossy());
            node.kill();
        }
        SystemFault::DiskFull => {
            let data = cluster.data_dir(target);
            cluster.nodes[target].kill();
            let aside = data.with_extension("aside");
            std::fs::rename(&data, &aside).expect("the data moves aside");
            std::fs::create_dir(&data).expect("a mount point");
            run("mount", &["-t", "tmpfs", "-o", DISK_BYTES, "tmpfs", &text(&data)]).expect("a small disk");
            run("cp", &["-a", &format!("{}/.", aside.display()), &text(&data)]).expect("the data comes back");
        }
    }
    cluster.start_all();
}

/// Takes away what was mounted.
pub fn clean_up(fault: SystemFault, cluster: &Cluster, target: usize) {
    if fault == SystemFault::DiskFull {
        // A cell that failed before the disk was there has nothing to take away.
        drop(run("umount", &["--lazy", &text(&cluster.data_dir(target))]));
    }
}

/// Lets the fault begin, last and heal. A node that could not trust its disk has stopped, and is started again.
pub fn strike(fault: SystemFault, cluster: &mut Cluster, target: usize, time: Duration) {
    match fault {
        SystemFault::SlowSync => {
            let tracer = inject(cluster, target, "fdatasync:delay_enter=200000");
            last(time);
            detach(tracer);
        }
        SystemFault::SyncError => {
            let tracer = inject(cluster, target, "fdatasync:error=EIO");
            last(time);
            detach(tracer);
            restart(cluster, target);
        }
        SystemFault::ClockJump(seconds) => {
            let file = clock_file(cluster, target);
            std::fs::write(&file, format!("{seconds:+}")).expect("the clock file");
            last(time);
            std::fs::write(&file, "+0").expect("the clock file");
        }
        SystemFault::DiskFull => {
            let filler = cluster.data_dir(target).join("filler");
            fill(&filler);
            last(time);
            std::fs::remove_file(&filler).expect("the filler goes");
            restart(cluster, target);
        }
    }
}

/// Lets a node run for a tenth of the time.
#[allow(clippy::disallowed_methods, reason = "the passing of time is the fault itself")]
pub fn starve(cluster: &Cluster, target: usize, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        cluster.nodes[target].pause();
        std::thread::sleep(STANDS_STILL);
        cluster.nodes[target].resume();
        std::thread::sleep(STANDS_STILL / 9);
    }
}

/// Kills a node and starts it again with clocks that begin elsewhere, as after a restart of its machine; and back.
pub fn offset_clock(cluster: &mut Cluster, target: usize, time: Duration) {
    cluster.nodes[target].set_clock_offset(Some(CLOCK_OFFSET_S));
    restart(cluster, target);
    last(time);
    cluster.nodes[target].set_clock_offset(None);
    restart(cluster, target);
}

/// Lets a running node have hardly more memory than it has. The kernel ends it when it wants more, unless it can do
/// without; then it goes on.
pub fn limit_memory(cluster: &mut Cluster, target: usize, time: Duration) {
    let process = cluster.nodes[target].process_id().expect("the node runs");
    let second_version = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let (root, limit) = if second_version {
        ("/sys/fs/cgroup", "memory.max")
    } else {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    };
    let group = Path::new(root).join(format!("rollcall-chaos-{process}"));
    std::fs::create_dir(&group).expect("a control group");
    std::fs::write(group.join(limit), MEMORY_BYTES).expect("the limit");
    std::fs::write(group.join("cgroup.procs"), process.to_string()).expect("the node is in the group");
    last(time);
    let ended = !cluster.nodes[target].is_running();
    println!("chaos: the node under the limit {}", if ended { "was ended by the kernel" } else { "lives" });
    restart(cluster, target);
    // The killed process may still be on its way out of the group.
    until("the control group is empty", SOON, || std::fs::remove_dir(&group).map_err(|error| error.to_string()));
}

/// Every access to a node's disk fails while the node runs, until it has got another chance.
pub fn fail_disk(cluster: &mut Cluster, target: usize, time: Duration) {
    cluster.disks[target].cut_power();
    last(time);
    cluster.nodes[target].kill();
    cluster.disks[target].restore_power();
    cluster.nodes[target].start();
}

/// Kills a node and starts it again with nothing on its disk.
pub fn lose_disk(cluster: &mut Cluster, target: usize) {
    cluster.nodes[target].kill();
    std::fs::remove_dir_all(cluster.data_dir(target)).expect("the data goes");
    cluster.nodes[target].start();
}

/// Stops each node in turn, and waits for it to be ready again before the next.
pub fn restart_in_turn(cluster: &mut Cluster) {
    for target in 0..cluster.nodes.len() {
        cluster.nodes[target].terminate();
        let ended = cluster.nodes[target].ended(STOPS_WITHIN);
        assert!(ended.success(), "a node that is told to stop ends with success: {ended}");
        cluster.nodes[target].start();
        cluster.wait_node_ready(target);
    }
}

fn restart(cluster: &mut Cluster, target: usize) {
    cluster.nodes[target].kill();
    cluster.nodes[target].start();
}

fn inject(cluster: &Cluster, target: usize, what: &str) -> Child {
    let process = cluster.nodes[target].process_id().expect("the node runs").to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &format!("inject={what}")]);
    command.args(["-p", &process]).stdin(Stdio::null()).stderr(Stdio::null());
    let tracer = command.spawn().expect("strace starts");
    until("the node is traced", SOON, || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(|error| error.to_string())?;
        let traced = status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
        if traced { Ok(()) } else { Err("not yet".to_owned()) }
    });
    tracer
}

/// Asks strace to let go, so that no call is left half done.
fn detach(mut tracer: Child) {
    drop(run("kill", &["-TERM", &tracer.id().to_string()]));
    drop(tracer.wait());
}

fn fill(filler: &Path) {
    let mut file = File::create(filler).expect("the filler");
    let block = vec![0; 64 * 1024];
    while file.write_all(&block).is_ok() {}
}

fn clock_file(cluster: &Cluster, target: usize) -> PathBuf {
    cluster.data_dir(target).with_extension("clock")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
