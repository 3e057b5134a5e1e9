//! `rollcall inspect`: the transitions on the disk of a node that does not run, one JSON object a line.

use crate::{cli::InspectArguments, failure::Failure, output};
use rollcall_node::inspect::{PartitionOnDisk, partitions_on_disk};
use serde_json::json;

/// Prints, for each partition, a line with the last log entry on this disk, then a line for each transition.
pub(crate) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("no runtime: {error}")))?;
    let partitions = runtime.block_on(partitions_on_disk(&arguments.data_dir));
    for partition in partitions.map_err(|error| Failure::new(error.to_string()))? {
        print(&partition, arguments.client.as_deref())?;
    }
    Ok(())
}

fn print(on_disk: &PartitionOnDisk, client: Option<&str>) -> Result<(), Failure> {
    let mut text = format!("{}\n", json!({"partition": on_disk.partition, "last_index": on_disk.last_index}));
    for transition in &on_disk.transitions {
        if client.is_none_or(|client| client == transition.client_id) {
            let line = serde_json::to_string(transition).map_err(|error| Failure::new(error.to_string()))?;
            text.push_str(&line);
            text.push('\n');
        }
    }
    output::print(text)
}
