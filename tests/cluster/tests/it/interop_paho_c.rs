//! Messages of the Paho library for C, which sits in many devices and gateways: a small program on it,
//! `clients/paho_c.c`, subscribes and publishes at each QoS, retains one message and dies with a will, on three nodes.

use crate::interop::Client;
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::{Cluster, tools};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const PUBLISHER: usize = 0;
const SUBSCRIBERS: usize = 1;
const DOOMED: usize = 2;
/// Messages at each QoS.
const NUMBERS: usize = 5;
const QOS: std::ops::Range<usize> = 0..3;

/// Arrivals by subscription and topic. Between two topics there is no order.
type Heard = BTreeMap<(usize, String), Vec<String>>;

/// What has to come: at the lower one of both QoS, in order, RETAIN only on what was there before.
fn expected(id: &str) -> Heard {
    let mut expected = Heard::new();
    for subscribed in QOS {
        let mut comes = |last: &str, published: usize, retain: usize, payloads: Vec<String>| {
            let lines = payloads.iter().map(|payload| format!("{} {retain} {payload}", published.min(subscribed)));
            expected.insert((subscribed, format!("{id}/{last}")), lines.collect());
        };
        comes("kept", 1, 1, vec!["kept".to_owned()]);
        for published in QOS {
            comes(&published.to_string(), published, 0, (0..NUMBERS).map(|number| number.to_string()).collect());
        }
        comes("will", 2, 0, vec!["gone".to_owned()]);
    }
    expected
}

/// Reads the lines of the program: QoS of the subscription, topic, and the rest.
fn heard(lines: &str) -> Heard {
    let mut heard = Heard::new();
    for line in lines.lines() {
        let [subscribed, topic, rest] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        heard.entry((subscribed.parse().unwrap(), topic.to_owned())).or_default().push(rest.to_owned());
    }
    heard
}

#[test]
fn messages_of_paho_for_c_keep_their_qos_retained_ones_and_wills_included() {
    if !tools::available("messages of paho for C", tools::PAHO_C_NEED, tools::paho_c()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("paho_c");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/paho_c.c");
    tools::compile_with_paho_c(&source, &program).unwrap();

    let cluster = Cluster::of_three();
    for version in ["3", "5"] {
        let id = format!("paho-c-{version}");
        let mut command = Command::new(&program);
        for place in [PUBLISHER, SUBSCRIBERS, DOOMED] {
            let to = cluster.nodes[place].addresses.mqtt;
            command.arg(to.ip().to_string()).arg(to.port().to_string());
        }
        let client = Client::start(command.args([&id, version, USER.0, USER.1, &NUMBERS.to_string()]));
        assert_eq!(heard(&client.output()), expected(&id), "{id}");
    }
}
