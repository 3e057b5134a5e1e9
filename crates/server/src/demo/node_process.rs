//! One node of the demo: this very program, started again as `rollcall server`.

use super::{LEASE_MS, PASSWORD, USERNAME, ports::NodePorts};
use crate::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// How often a process that should end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A child process with its configuration, its data and its log. Dropping it kills the process.
pub(super) struct NodeProcess {
    name: String,
    ports: NodePorts,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    ended: Option<ExitStatus>,
}

/// Where the log of a node is.
pub(super) fn log_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("n{}.log", index + 1))
}

impl NodeProcess {
    /// Writes the node's configuration; starts nothing yet.
    pub(super) fn new(
        folder: &Path,
        index: usize,
        ports: NodePorts,
        all: &[NodePorts],
    ) -> Result<NodeProcess, Failure> {
        let name = format!("n{}", index + 1);
        let config = folder.join(format!("{name}.toml"));
        let data = folder.join(&name);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&config, configuration(&name, &data, ports, all)))
            .map_err(|error| Failure::io(format_args!("cannot write {}", config.display()), &error))?;
        Ok(NodeProcess { log: log_path(folder, index), name, ports, config, child: None, ended: None })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn ports(&self) -> NodePorts {
        self.ports
    }

    pub(super) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    pub(super) fn pid_text(&self) -> String {
        self.child.as_ref().map_or_else(|| "none".to_owned(), |child| child.id().to_string())
    }

    /// Starts the process; its output goes to its log.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let failed = |error: &std::io::Error| Failure::io(format_args!("cannot start {}", self.name), error);
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let log = File::options().create(true).append(true).open(&self.log).map_err(|error| failed(&error))?;
        let errors = log.try_clone().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        // The other end of its standard input is here and is never written to: it ends when this process does, however
        // that happens, and the node with it.
        command.args(["server", "--stop-with-stdin", "--config"]).arg(&self.config);
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        // What is set for nodes of the user's own is not meant for these.
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("ROLLCALL_")) {
                command.env_remove(variable);
            }
        }
        self.child = Some(command.spawn().map_err(|error| failed(&error))?);
        self.ended = None;
        Ok(())
    }

    /// Fails once the process has ended although nobody asked it to.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        let Some(child) = &mut self.child else { return Ok(()) };
        match child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.child = None;
                self.ended = Some(status);
                Err(Failure::new(format!("node {} has ended by itself ({status})", self.name)))
            }
            Err(error) => Err(Failure::io(format_args!("cannot look at node {}", self.name), &error)),
        }
    }

    /// Whether it ended by itself because another process had taken one of its ports.
    pub(super) fn lost_its_port(&self) -> bool {
        let said_so = || {
            let log = fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).to_lowercase();
            log.contains("address already in use") || log.contains("address in use")
        };
        self.ended.is_some() && said_so()
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child
            .kill()
            .and_then(|()| child.wait())
            .map(|_| ())
            .map_err(|error| Failure::io(format_args!("cannot kill node {}", self.name), &error))
    }

    /// SIGTERM: asks the node to drain.
    pub(super) fn ask_to_stop(&self) {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until the process has ended; kills it where that takes too long.
    pub(super) async fn wait(&mut self, deadline: Instant) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.child.is_some() && Instant::now() < deadline {
            looks.tick().await;
            // Its ending is what is waited for.
            let _ = self.check();
        }
        let _ = self.kill();
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.kill();
    }
}

fn configuration(name: &str, data: &Path, ports: NodePorts, all: &[NodePorts]) -> String {
    let seeds = all.iter().map(|node| format!("\"127.0.0.1:{}\"", node.mesh)).collect::<Vec<_>>().join(", ");
    let data = serde_json::Value::String(data.display().to_string());
    let NodePorts { mqtt, http, admin, mesh } = ports;
    let nodes = all.len();
    format!(
        "[node]\nname = \"{name}\"\ndata_dir = {data}\nadvertise_host = \"127.0.0.1\"\n\
         [cluster]\nname = \"demo\"\nseeds = [{seeds}]\nexpect_nodes = {nodes}\nlease_ms = {LEASE_MS}\nsecret = \"demo\"\n\
         [listeners]\nmqtt = \"127.0.0.1:{mqtt}\"\nhttp = \"127.0.0.1:{http}\"\nadmin = \"127.0.0.1:{admin}\"\n\
         mesh = \"127.0.0.1:{mesh}\"\n\
         [[auth.bootstrap_users]]\nusername = \"{USERNAME}\"\npassword = \"{PASSWORD}\"\nrole = \"client\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::NodeProcess;
    use crate::demo::ports::NodePorts;
    use rollcall_node::config::Config;

    #[test]
    fn the_configuration_of_each_node_is_valid_and_draws_no_warning() {
        let folder = tempfile::tempdir().unwrap();
        let ports = |n: u16| NodePorts { mqtt: 1880 + n, http: 8080 + n, admin: 8190 + n, mesh: 7400 + n };
        let all = [ports(1), ports(2), ports(3)];
        for (index, of_node) in all.iter().enumerate() {
            let node = NodeProcess::new(folder.path(), index, *of_node, &all).unwrap();
            let loaded = Config::load(Some(&node.config), []).unwrap();
            assert_eq!(loaded.warnings, Vec::<String>::new());
            assert_eq!(loaded.config.node.name, node.name());
            assert_eq!(loaded.config.listeners.http.unwrap().port(), of_node.http);
            assert_eq!(loaded.config.cluster.seeds.len(), 3);
        }
    }
}
