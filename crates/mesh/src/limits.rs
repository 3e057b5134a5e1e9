//! The bounds of the mesh: sizes, queues and waits, in one place.

use std::time::Duration;

/// Largest message on a link, in bytes; decoding refuses more before it allocates.
pub(crate) const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest payload of one call or answer, in bytes: what fits in one message with its envelope.
pub const PAYLOAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 64 * 1024;
/// A batch is closed once its payloads reach this many bytes.
pub(crate) const BATCH_BYTES: usize = 256 * 1024;
/// Most frames in one batch.
pub(crate) const BATCH_FRAMES_MAX: usize = 512;
/// Payload bytes that may wait for the writer of one link.
pub(crate) const QUEUE_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// Default of `call_queue_max`: calls of one link that wait for the writer or for an answer.
pub const CALL_QUEUE_MAX_DEFAULT: usize = 8192;
/// Largest accepted `call_queue_max`.
pub(crate) const CALL_QUEUE_MAX_MAX: usize = 1_000_000;
/// Longest deadline of a call; longer ones are cut to it.
pub const CALL_DEADLINE_MAX: Duration = Duration::from_secs(600);
/// Longest sentence of a refusal, in bytes; the rest is cut off.
pub(crate) const REFUSAL_BYTES_MAX: usize = 1024;

/// Calls without a lane that are handled at once for one link; more are refused.
pub(crate) const IN_FLIGHT_PER_LINK_MAX: usize = 16_384;
/// Distinct lanes of one link; calls on more are refused.
pub const LANES_PER_LINK_MAX: usize = 4096;
/// Calls that wait in one lane; more are refused. As many as a peer with default settings has under way.
pub const LANE_QUEUE_MAX: usize = CALL_QUEUE_MAX_DEFAULT;
/// Answers of one link that wait for the writer; beyond it handlers wait, within their deadlines.
pub(crate) const REPLY_QUEUE_MAX: usize = 1024;
/// How long a new link of a peer waits for the handlers of the one it replaces.
pub(crate) const PREDECESSOR_WAIT: Duration = Duration::from_secs(1);

/// Largest message before a connection is authenticated, in bytes.
pub(crate) const HELLO_REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Largest hello a node may give of itself, in bytes.
pub const HELLO_BYTES_MAX: usize = 256 * 1024;
/// Largest answer to a hello, in bytes.
pub(crate) const HELLO_REPLY_BYTES_MAX: usize = HELLO_BYTES_MAX + 8 * 1024;
/// Longest cluster name, and longest cluster id, in bytes.
pub(crate) const CLUSTER_NAME_BYTES_MAX: usize = 255;
/// How long a connection may take to authenticate itself.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);
/// Connections accepted at once; beyond it new ones wait in the listen queue.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// Streams open at once on one connection.
pub(crate) const STREAMS_PER_CONNECTION_MAX: u32 = 16;
/// Largest header list of a request, in bytes.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Pause after the listener could not accept.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest time to resolve, connect, authenticate and open a link.
pub(crate) const DIAL_DEADLINE: Duration = Duration::from_secs(3);
/// Addresses of one name that are tried in one dial.
pub(crate) const ADDRESSES_PER_DIAL_MAX: usize = 8;
/// First pause after a failed dial.
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(10);
/// Longest pause between dials.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// A link that held this long starts the pauses anew.
pub(crate) const LINK_STEADY: Duration = Duration::from_secs(1);
/// A connection is asked for a sign of life this often.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// A connection that gave no sign of life for this long after being asked is closed.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 receive window of one stream, in bytes: a large append does not wait for window updates.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// HTTP/2 receive window of one connection, in bytes.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Peers are asked this often whom they reach, where there are three nodes or more.
pub(crate) const REACH_EVERY: Duration = Duration::from_millis(300);
/// Longest wait for their answers: a link that lives answers at once.
pub(crate) const REACH_WITHIN: Duration = Duration::from_secs(3);
/// A link that is up and has brought no answer for so long is silent: its peer may be cut off. A few questions long.
pub(crate) const SILENT_AFTER: Duration = Duration::from_millis(1200);
/// A peer whose link is down or silent for so long is reached over a common node, where there is one. Long enough for a
/// link that broke to be dialled anew a few times.
pub(crate) const RELAY_AFTER: Duration = Duration::from_millis(300);
/// A link has to answer for so long before calls to its peer leave the common node again.
pub(crate) const RELAY_UNTIL_UP_FOR: Duration = Duration::from_secs(2);
/// Most nodes in such an answer that are believed.
pub(crate) const REACH_NODES_MAX: usize = 4096;
/// Payload bytes of one peer's calls that are passed on and not answered; more are refused, but for a single one.
pub(crate) const RELAY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest snapshot, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Largest head of a snapshot, in bytes.
pub const SNAPSHOT_HEAD_BYTES_MAX: usize = 1024 * 1024;
/// Largest piece of a snapshot, in bytes.
pub const SNAPSHOT_PIECE_BYTES_MAX: usize = 256 * 1024;
/// Largest first allocation for a snapshot's data; it grows with what arrives.
pub(crate) const SNAPSHOT_FIRST_ALLOCATION: usize = 4 * 1024 * 1024;
/// Snapshots received at once; more are refused.
pub(crate) const SNAPSHOTS_AT_ONCE_MAX: usize = 4;
/// How long the receiver waits for the next piece.
pub(crate) const SNAPSHOT_PIECE_WAIT: Duration = Duration::from_secs(10);

/// Room for what one peer has not taken of its stream, in KiB; an item takes at least one.
pub(crate) const STREAM_QUEUE_KIB_MAX: u32 = 64 * 1024;
/// Most items in one batch of a stream.
pub(crate) const STREAM_BATCH_ITEMS_MAX: usize = 512;
/// A batch of a stream with more than one item has at most this many bytes of items.
pub(crate) const STREAM_BATCH_BYTES: usize = 256 * 1024;
/// Batches of one stream that wait for their acknowledgements.
pub(crate) const STREAM_BATCHES_UNDER_WAY: usize = 8;
/// Answers to items of one stream that are kept until the sender is known to have them.
pub(crate) const STREAM_ANSWERS_MAX: usize = STREAM_BATCHES_UNDER_WAY * STREAM_BATCH_ITEMS_MAX;
/// Longest wait for an acknowledgement before the batch goes again.
pub(crate) const STREAM_CALL_WITHIN: Duration = Duration::from_secs(5);
/// Longest time that an item counts as not taken since a slow consumer of the peer has it.
pub(crate) const STREAM_WAIT_MAX: Duration = Duration::from_millis(500);
/// Pause before what was not acknowledged goes again.
pub(crate) const STREAM_PAUSE: Duration = Duration::from_millis(10);

/// How long a stop waits for tasks and connections to end.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);
