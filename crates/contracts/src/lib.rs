//! What the shells ask of the mechanisms, as traits, so that neither knows the other; `node` wires them at start.
//!
//! What does not belong here: an implementation, a foreign library's type, a decision.

#![forbid(unsafe_code)]

mod access;
mod access_control;
mod account;
mod authenticator;
mod certificate;
mod certificate_event;
mod client_control;
mod client_event;
#[cfg(feature = "mutants")]
pub mod crash_points;
mod data_plane;
mod device_registry;
mod enhanced;
mod health;
mod interests;
mod membership;
mod mesh;
#[cfg(feature = "mutants")]
pub mod mutants;
mod presence_feeds;
mod presence_questions;
mod presence_store;
mod publish;
mod quota_seat;
mod retained_store;
mod routes;
mod session_event;
mod session_links;

pub use access::{Admission, Asked, AuthError, ConnectPermission, Explanation, QueryRefusal, Rated, SourceAddress};
pub use access_control::{AccessControl, AskedChange, ChangeUnavailable, HashedPassword, IssuedToken};
pub use account::{Account, AccountOrigin, Role};
pub use authenticator::{Authenticator, CannotSay, Presented, Verdict};
pub use certificate::{ClientCertificate, FINGERPRINT_BYTES};
pub use certificate_event::CertificateEvent;
pub use client_control::{ClientControl, ControlError, HeldSubscription};
pub use client_event::{ClientEvent, EventKind};
pub use data_plane::{DataPlane, HttpPublisher, KeepAliveError, PublishError, PublishTaken};
pub use device_registry::{CertificateTold, DeviceRegistry, certificate_id};
pub use enhanced::{AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator};
pub use health::{LeaseGate, Readiness, ReadinessReport};
pub use interests::{
    GROUP_MEMBERS_NAMED_MAX, INTERESTS_PER_PAGE_MAX, Interest, InterestAt, InterestPage, InterestQuestion,
    InterestedMember, Interests,
};
pub use membership::{LeaveError, MemberView, Membership, PartitionView};
pub use mesh::{CallError, PeerCall, PeerHandler, PeerLinks};
pub use presence_feeds::{FeedBatch, FeedError, FeedsKnown, PresenceFeeds};
pub use presence_questions::{ClientsPage, ClientsQuestion, KnownClient, PresenceAnswer, PresenceQuestions};
pub use presence_store::{
    ClaimError, ClaimGranted, ConnectionEnding, EndingKind, KeepAliveRecorded, PresenceStore, StatusAnswer,
    StatusError, StatusInbox,
};
pub use publish::{Charge, DeliveryTarget, OwnerLinks, Part, PartTaken, PeerPublisher, Spread, Unserved};
pub use quota_seat::{QuotaBoard, QuotaGranted, QuotaPart, QuotaSeat, QuotaUse, QuotaView};
pub use retained_store::{RetainError, RetainedPage, RetainedPlace, RetainedReadError, RetainedStore};
pub use routes::{Announced, RouteBoard};
pub use session_event::{EVENTS_ROOT, SessionEnded, SessionEvent, SubscriptionChange, client_of_event};
pub use session_links::SessionLinks;
