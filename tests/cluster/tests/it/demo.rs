//! The one command of the README.

use rollcall_test_cluster::{binary, deadline};
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

const DEMO_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn the_demo_ends_well_and_shows_the_line_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let mut child = Command::new(binary::rollcall())
        .args(["demo", "--once"])
        .stdin(Stdio::null())
        .stdout(File::create(&output).unwrap())
        .stderr(File::create(folder.path().join("errors")).unwrap())
        .spawn()
        .unwrap();
    let status = deadline::until("the demo ends", DEMO_WITHIN, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}; so far: {}", std::fs::read_to_string(&output).unwrap_or_default())),
    });
    let text = std::fs::read_to_string(&output).unwrap();
    let errors = std::fs::read_to_string(folder.path().join("errors")).unwrap();
    assert_eq!(status.code(), Some(0), "{text}\n{errors}");
    for wanted in ["curl", "dXNlcjA6c2VjcmV0MA==", "/client-id/VIN0000001/status", "VIN0000001"] {
        assert!(text.contains(wanted), "{wanted} is missing in: {text}");
    }
}
