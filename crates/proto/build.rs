//! Generates the messages and the service from `proto/`, without protoc.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let folder = root.join("rollcall/mesh/v1");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    // Payloads stay slices of the buffer they arrived in.
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
