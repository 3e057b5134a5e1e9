//! The messages between nodes, generated from `proto/`, and the numbers of the calls.
//!
//! What does not belong here: conversion to or from the types of other crates, and any decision about a message.

#![forbid(unsafe_code)]

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/rollcall.mesh.v1.rs"));
}

pub use generated::{
    Claim, ClaimEnded, ConfirmTermReply, ConfirmTermRequest, DeliverRequest, Frame, FrameBatch, HeartbeatReply,
    HeartbeatRequest, HelloReply, HelloRequest, JoinReply, JoinRequest, Kind, KnownStatus, NotServed, PartialMessage,
    ProposeReply, ProposeRequest, QuotaGrant, QuotaPart, QuotaUse, ReachReply, ReadFeedReply, ReadFeedRequest,
    ReadPoint, ReadPointAnswer, ReadPointAsk, ReadPointReply, ReadPointRequest, RelayedCall, Reply, Request, Route,
    RouteChange, RoutesDigest, RoutesPart, SlowItem, SnapshotChunk, SnapshotHead, SnapshotReply, StatusOf, StatusReply,
    StatusRequest, StreamAck, StreamAnswer, StreamBatch, StreamItem, TermOf, Welcome, frame, heartbeat_reply,
    hello_reply, join_reply, mesh_client, mesh_server, propose_reply, read_point_answer, reply, snapshot_chunk,
    snapshot_reply, stream_item,
};

/// The version of the mesh protocol this program speaks. A peer that names another one is refused.
pub const PROTOCOL_VERSION: u32 = 1;

impl Kind {
    /// The number a call carries.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The kind of a number; `None` for numbers this program does not know.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        i32::try_from(number).ok().and_then(|n| Kind::try_from(n).ok()).filter(|kind| *kind != Kind::Unspecified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_kinds_are_part_of_the_protocol() {
        let known = [
            (1, Kind::RaftAppend),
            (2, Kind::RaftVote),
            (3, Kind::RaftPreVote),
            (4, Kind::RaftTransferLeader),
            (5, Kind::ReadPoint),
            (6, Kind::ConfirmTerm),
            (7, Kind::Propose),
            (8, Kind::Heartbeat),
            (10, Kind::ReadFeed),
            (11, Kind::ClaimEnded),
            (12, Kind::Deliver),
            (13, Kind::ClusterPropose),
            (14, Kind::Status),
            (16, Kind::Stream),
            (20, Kind::RetainedPropose),
            (21, Kind::RetainedRead),
            (22, Kind::PointToPoint),
            (23, Kind::SessionHandover),
            (24, Kind::KeepAlive),
            (30, Kind::PresenceRead),
            (50, Kind::Relay),
            (51, Kind::Relayed),
            (52, Kind::Reach),
        ];
        for (number, kind) in known {
            assert_eq!(kind.number(), number);
            assert_eq!(Kind::from_number(number), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_number(15), None);
        assert_eq!(Kind::from_number(u32::MAX), None);
    }
}
