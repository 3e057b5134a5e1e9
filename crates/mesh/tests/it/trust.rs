//! Who is let in, and what others see.

use crate::{
    certificates::Authority,
    links::until_call_says,
    nodes::{Node, WITHIN, within},
    wire::Wire,
};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_mesh::{ConfigError, JoinHandler, Mesh, MeshConfig, MeshError, MeshTls};
use rollcall_types::{NodeId, NodeName};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

fn secret(text: &str) -> impl FnOnce(&mut MeshConfig) {
    let text = Some(text.to_owned());
    move |config| config.secret = text
}

async fn refused(from: &Node, to: &Node, words: &str) {
    let hello = from.mesh.hello(&to.address(), WITHIN).await;
    assert!(matches!(&hello, Err(CallError::Refused(why)) if why.contains(words)), "{hello:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_opens_the_link_and_never_travels() {
    const SECRET: &str = "a-long-enough-secret-to-look-for";
    let second = Node::identified(2, secret(SECRET));
    let wire = Wire::to(second.mesh.local_addr()).await;
    let first = Node::identified(1, secret(SECRET));
    first.link(2, wire.address.to_string()).await;
    assert!(first.echo(2, "seen on the wire").await.is_ok());
    let hello = first.mesh.hello(&wire.address.to_string(), WITHIN).await;
    assert_eq!(hello, Ok(b"the hello of a node".to_vec()));
    // The wire does see what is not secret.
    assert!(wire.has_seen(b"seen on the wire") && wire.has_seen(b"the hello of a node"));
    let digest = Sha256::digest(SECRET);
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    for part in [&SECRET.as_bytes()[..8], &SECRET.as_bytes()[24..], &digest[..8], &hex.as_bytes()[..16]] {
        assert!(!wire.has_seen(part), "a part of the secret was sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_or_missing_secret_is_refused_both_ways() {
    let first = Node::identified(1, secret("one"));
    let second = Node::identified(2, secret("two"));
    let bare = Node::identified(3, |_| {});
    refused(&first, &second, "the cluster secret differs").await;
    refused(&second, &first, "the cluster secret differs").await;
    refused(&bare, &first, "this cluster has a secret and the caller has none").await;
    refused(&first, &bare, "the caller has a cluster secret and this node has none").await;
    for (from, to, peer) in [(&first, &second, 2), (&second, &first, 1), (&bare, &first, 1), (&first, &bare, 3)] {
        from.mesh.set_peers(BTreeMap::from([(NodeId(peer), to.address())]));
        until_call_says(from, peer, "alike on all nodes", &mut String::new()).await;
        assert!(!from.mesh.is_connected(NodeId(peer)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_another_cluster_are_refused_with_a_sentence() {
    let lab = Node::identified(1, secret("one"));
    let named = Node::identified(2, |c| {
        c.secret = Some("one".to_owned());
        c.cluster_name = "field".to_owned();
    });
    refused(&named, &lab, "this node belongs to the cluster named `lab`, the caller to `field`").await;
    let other = Node::start(secret("one"));
    other.mesh.identify(NodeId(2), "c2".to_owned());
    refused(&other, &lab, "this node belongs to the cluster with id c1, the caller to c2").await;
    lab.mesh.set_peers(BTreeMap::from([(NodeId(2), other.address())]));
    until_call_says(&lab, 2, "with id c2", &mut String::new()).await;
    // A node that is in no cluster yet may ask.
    let fresh = Node::start(secret("one"));
    assert!(fresh.mesh.hello(&lab.address(), WITHIN).await.is_ok());
    assert!(lab.mesh.hello(&fresh.address(), WITHIN).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_protection_no_address_but_loopback_is_listened_on_or_dialled() {
    let config = MeshConfig::new(
        "0.0.0.0:0".parse::<std::net::SocketAddr>().unwrap(),
        "127.0.0.1:1".to_owned(),
        "lab".to_owned(),
        NodeName("n".to_owned()),
    );
    let node = Node::identified(1, |_| {});
    let started = Mesh::start(config, Arc::clone(&node.script) as _, Arc::new(crate::nodes::Hello("")));
    let refusal = started.err().unwrap();
    assert!(matches!(refusal, MeshError::Config(ConfigError::Unprotected { .. })), "{refusal}");
    assert!(refusal.to_string().contains("set `secret` in [cluster]"), "{refusal}");
    // 192.0.2.0/24 is for documentation (RFC 5737): the refusal comes before anything is sent.
    let hello = node.mesh.hello("192.0.2.1:7400", WITHIN).await;
    assert!(matches!(&hello, Err(CallError::Unreachable(why)) if why.contains("set `secret`")), "{hello:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_only_certificates_of_the_authority_link_and_nothing_is_readable() {
    let authority = Authority::new();
    let with = |files: MeshTls| move |config: &mut MeshConfig| config.tls = Some(files);
    let second = Node::identified(2, with(authority.files()));
    let wire = Wire::to(second.mesh.local_addr()).await;
    let first = Node::identified(1, with(authority.files()));
    first.link(2, wire.address.to_string()).await;
    assert!(first.echo(2, "not to be seen").await.is_ok());
    assert!(!wire.has_seen(b"not to be seen"));
    let stranger = Node::identified(3, with(Authority::new().files()));
    let bare = Node::identified(4, |_| {});
    for (from, to) in [(&stranger, &second), (&second, &stranger), (&bare, &second), (&second, &bare)] {
        let hello = from.mesh.hello(&to.address(), Duration::from_secs(5)).await;
        assert!(matches!(hello, Err(CallError::Unreachable(_))), "{hello:?}");
    }
    assert!(first.echo(2, "still there").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_certificates_count_for_new_connections_and_links_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.files();
    let second = Node::identified(2, |c| c.tls = Some(files));
    let files = old.files();
    let first = Node::identified(1, |c| c.tls = Some(files));
    first.link(2, second.address()).await;
    second.mesh.renew_tls(new.files()).unwrap();
    let old_hello = async { while first.mesh.hello(&second.address(), WITHIN).await.is_ok() {} };
    within(old_hello).await;
    assert!(first.echo(2, "over the old link").await.is_ok());
    first.mesh.renew_tls(new.files()).unwrap();
    assert!(first.mesh.hello(&second.address(), WITHIN).await.is_ok());
    let broken = MeshTls { ca: b"no".to_vec(), cert: b"no".to_vec(), key: b"no".to_vec() };
    assert!(matches!(first.mesh.renew_tls(broken), Err(MeshError::Tls(_))));
    assert!(first.mesh.hello(&second.address(), WITHIN).await.is_ok());
}

struct Joins;

#[async_trait::async_trait]
impl JoinHandler for Joins {
    async fn join(&self, request: Bytes) -> Result<Bytes, String> {
        if request.as_ref() == b"later" {
            Err("not now".to_owned())
        } else {
            Ok([b"welcome ", &request[..]].concat().into())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_proves_the_secret_may_ask_to_join_and_nobody_else() {
    let member = Node::identified(1, secret("one"));
    let newcomer = Node::start(secret("one"));
    let stranger = Node::start(secret("two"));
    let ask = async |from: &Node, words: &'static str| from.mesh.join(&member.address(), words.into(), WITHIN).await;
    let early = ask(&newcomer, "n4").await;
    assert!(matches!(&early, Err(CallError::Refused(why)) if why.contains("still starting")), "{early:?}");
    member.mesh.set_join_handler(Arc::new(Joins));
    assert_eq!(ask(&newcomer, "n4").await, Ok("welcome n4".into()));
    assert_eq!(ask(&newcomer, "later").await, Err(CallError::Refused("not now".to_owned())));
    let refused = ask(&stranger, "n4").await;
    assert!(matches!(&refused, Err(CallError::Refused(why)) if why.contains("secret differs")), "{refused:?}");
}
