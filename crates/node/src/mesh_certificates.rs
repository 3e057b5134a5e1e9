//! The certificates between nodes, read again when their files change. What does not belong here: those that clients are
//! shown (`tls`), and how the mesh uses them.

use crate::{config, errors::StartError, settings};
use rollcall_mesh::Mesh;
use rollcall_tls::FileWatch;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Changed files of `[cluster.tls]` that were read again, by result.
const RELOADS: &str = "rollcall_mesh_tls_reloads_total";

/// Looks at the files `every` so often, until what is given back is dropped. New ones that cannot be used together leave
/// the old ones in force; connections that there are go on with those they were made with.
pub(crate) fn watch(files: &config::MeshTls, mesh: Arc<Mesh>, every: Duration) -> Result<FileWatch, StartError> {
    metrics::describe_counter!(
        RELOADS,
        metrics::Unit::Count,
        "changed files of [cluster.tls] that were read again, by result"
    );
    let paths: Vec<PathBuf> = vec![files.ca_file.clone(), files.cert_file.clone(), files.key_file.clone()];
    let files = files.clone();
    FileWatch::start(paths, every, move || {
        let renewed = settings::mesh_certificates(&files)
            .map_err(|error| error.to_string())
            .and_then(|fresh| mesh.renew_tls(fresh).map_err(|error| error.to_string()));
        match renewed {
            Ok(()) => {
                metrics::counter!(RELOADS, "result" => "taken").increment(1);
                tracing::info!("changed certificates between nodes are in force");
            }
            Err(error) => {
                metrics::counter!(RELOADS, "result" => "refused").increment(1);
                tracing::error!(%error, "changed certificates between nodes cannot be used; the old ones stay in force");
            }
        }
    })
    .map_err(|error| StartError::Internal(format!("no thread to look at the files of [cluster.tls]: {error}")))
}
