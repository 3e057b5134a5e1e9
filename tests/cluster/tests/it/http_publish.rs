//! Messages that are published over HTTP reach whom those of MQTT clients reach, on every node, with all that MQTT 5 has
//! beside a payload.

use rollcall_test_cluster::config::{FORBIDDEN_USER, USER};
use rollcall_test_cluster::http::{Response, basic, exchange, post};
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Delivered, Packet, Version};
use rollcall_test_cluster::{Cluster, Options};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);
/// How long nothing may come where nothing is to come.
const QUIET: Duration = Duration::from_millis(200);

fn publish(cluster: &Cluster, place: usize, target: &str, payload: &[u8]) -> Response {
    let authorization = basic(USER.0, USER.1);
    let headers = [("Authorization", authorization.as_str())];
    post(cluster.nodes[place].addresses.http, &format!("/topics/{target}"), &headers, payload).unwrap()
}

/// The id of a message that was taken.
fn taken(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?} {}", response.text());
    let id = response.header("x-message-id").expect("X-Message-Id");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)), "{id}");
    id.to_owned()
}

/// The next message, with its handshake finished.
fn packet(connection: &mut Connection) -> Packet {
    loop {
        match connection.next(WITHIN) {
            Arrival::Packet(packet) => {
                connection.answer(&packet).unwrap();
                if packet.delivered(connection.version()).is_some() {
                    return packet;
                }
            }
            other => panic!("no message but {other:?}"),
        }
    }
}

fn message(connection: &mut Connection) -> Delivered {
    packet(connection).delivered(connection.version()).unwrap()
}

/// Nothing but the rest of handshakes comes.
fn quiet(connection: &mut Connection) {
    loop {
        match connection.next(QUIET) {
            Arrival::Silence => return,
            Arrival::Packet(packet) if packet.delivered(connection.version()).is_none() => {
                connection.answer(&packet).unwrap();
            }
            other => panic!("nobody sent this: {other:?}"),
        }
    }
}

#[test]
fn a_message_reaches_subscribers_of_every_qos_on_every_node_once() {
    let cluster = Cluster::of_three();
    let mut subscribers = Vec::new();
    for place in 0..3 {
        for qos in 0..3_u8 {
            let version = if qos == 1 { Version::V311 } else { Version::V5 };
            let connect = Connect::new(version, &format!("n{place}-qos{qos}"));
            let mut connection = cluster.connect_as(place, &connect);
            assert!(connection.subscribe_at("fleet/+", qos).unwrap().is_empty());
            subscribers.push((qos, connection));
        }
    }
    let mut ids = BTreeSet::new();
    let payload: Vec<u8> = (0..=255).collect();
    for place in 0..3 {
        for qos in 0..3_u8 {
            let answer = publish(&cluster, place, &format!("fleet%2Fcar?qos={qos}&client_id=curl001"), &payload);
            ids.insert(taken(&answer));
            assert_eq!(answer.header("rollcall-matched"), Some("true"));
            for (most, subscriber) in &mut subscribers {
                let got = message(subscriber);
                assert_eq!((got.topic.as_str(), got.payload.as_slice()), ("fleet/car", payload.as_slice()));
                assert_eq!((got.qos, got.dup, got.retain), (qos.min(*most), false, false));
            }
        }
    }
    assert_eq!(ids.len(), 9, "every message has its own id");
    let answer = publish(&cluster, 0, "nobody", b"x");
    taken(&answer);
    assert_eq!(answer.header("rollcall-matched"), Some("false"));
    subscribers.iter_mut().for_each(|(_, subscriber)| quiet(subscriber));
}

#[test]
fn a_subscriber_sees_every_property_of_mqtt_5() {
    let cluster = Cluster::of_three();
    let mut subscriber = cluster.connect_as(2, &Connect::new(Version::V5, "subscriber"));
    subscriber.subscribe_at("t", 1).unwrap();
    let parameters = "ResponseTopic=sample%2Fresponse%2Ftopic&CorrelationData=SN%000001%FF&ContentType=application%2Fjson\
                      &PayloadFormatIndicator=1&UserProp.2.Key=second&UserProp.2.Value=2&UserProp.1.Key=sampleKey\
                      &UserProp.1.Value=sample+Value";
    taken(&publish(&cluster, 0, &format!("t?{parameters}"), b"{}"));
    let body = packet(&mut subscriber).body;
    let text = |id: u8, value: &[u8]| [&[id], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat();
    let pair = |key: &[u8], value: &[u8]| [text(0x26, key), text(0, value)[1..].to_vec()].concat();
    let properties = [
        vec![0x01, 1],
        text(0x03, b"application/json"),
        text(0x08, b"sample/response/topic"),
        text(0x09, b"SN\x000001\xff"),
        pair(b"sampleKey", b"sample Value"),
        pair(b"second", b"2"),
    ];
    for property in &properties {
        assert!(body.windows(property.len()).any(|part| part == property), "{property:?} is not in {body:?}");
    }
    let order = |part: &[u8]| body.windows(part.len()).position(|window| window == part).unwrap();
    assert!(order(b"sampleKey") < order(b"second"), "user properties in the order of their numbers");
    let size: usize = properties.iter().map(Vec::len).sum();
    // Topic, packet identifier, length, properties, payload: and no other property.
    assert_eq!(body.len(), 3 + 2 + 1 + size + 2, "{body:?}");

    taken(&publish(&cluster, 1, "t?MessageExpiryInterval=3600", b"x"));
    let body = packet(&mut subscriber).body;
    // Topic, packet identifier, length of the properties, and the only one.
    let [0, 1, b't', _, _, 5, 0x02, left @ .., b'x'] = body.as_slice() else { panic!("{body:?}") };
    let left = u32::from_be_bytes(left.try_into().unwrap());
    assert!((3_590..=3_600).contains(&left), "{body:?}");
}

#[test]
fn a_retained_message_is_committed_when_it_is_answered_and_an_empty_one_clears_it() {
    let cluster = Cluster::of_three();
    for (round, qos) in [0, 1, 2].into_iter().enumerate() {
        taken(&publish(&cluster, round, &format!("kept?retained=true&qos={qos}"), b"value"));
        let mut late = cluster.connect_as((round + 1) % 3, &Connect::new(Version::V5, "late"));
        let before = late.subscribe_at("kept", 1).unwrap();
        let got = before.into_iter().next().unwrap_or_else(|| packet(&mut late)).delivered(Version::V5).unwrap();
        assert_eq!((got.payload.as_slice(), got.retain, got.qos), (&b"value"[..], true, u8::from(qos > 0)));
        taken(&publish(&cluster, (round + 2) % 3, "kept?retained=true", b""));
        assert_eq!(message(&mut late).payload, b"");
        let mut later = cluster.connect_as(round, &Connect::new(Version::V5, "later"));
        assert!(later.subscribe_at("kept", 1).unwrap().is_empty());
        quiet(&mut later);
    }
}

#[test]
fn a_message_for_one_client_finds_it_on_any_node() {
    let cluster = Cluster::of_three();
    let mut bystander = cluster.connect(1, "bystander");
    bystander.subscribe("#").unwrap();
    for place in 0..3 {
        let mut device = cluster.connect_as(place, &Connect::new(Version::V5, "fleet/device"));
        let answer = publish(&cluster, 0, "first%2Fp2p%2Ffleet%2Fdevice", b"for you");
        taken(&answer);
        assert_eq!(answer.header("rollcall-matched"), Some("true"));
        let got = message(&mut device);
        assert_eq!((got.topic.as_str(), got.payload.as_slice()), ("first/p2p/fleet/device", &b"for you"[..]));
        device.disconnect().unwrap();
        cluster.wait_online(&[0, 1, 2], "fleet/device", false, WITHIN);
        let answer = publish(&cluster, 0, "first%2Fp2p%2Ffleet%2Fdevice", b"gone");
        taken(&answer);
        assert_eq!(answer.header("rollcall-matched"), Some("false"), "accepted, and nobody gets it");
    }
    quiet(&mut bystander);
}

#[test]
fn what_a_client_may_not_publish_nobody_may_over_http() {
    let cluster = Cluster::of_three();
    let mut bystander = cluster.connect(1, "bystander");
    bystander.subscribe("#").unwrap();
    let code = |response: Response| {
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, body["code"].as_str().unwrap().to_owned())
    };
    for (target, status, expected) in [
        ("%24SYS%2Fbroker%2Fversion", 403, "not_authorized"),
        ("%24events%2Fclient_connected", 403, "not_authorized"),
        ("a%2F%23", 400, "bad_topic"),
        ("a?qos=3", 400, "bad_parameter"),
    ] {
        assert_eq!(code(publish(&cluster, 0, target, b"x")), (status, expected.to_owned()), "{target}");
    }
    let to = cluster.nodes[2].addresses.http;
    for (user, status, expected) in [
        (basic(USER.0, "wrong"), 401, "unauthorized"),
        (basic(FORBIDDEN_USER.0, FORBIDDEN_USER.1), 403, "not_authorized"),
    ] {
        let answer = post(to, "/topics/a", &[("Authorization", &user)], b"x").unwrap();
        assert_eq!(code(answer), (status, expected.to_owned()));
    }
    let large = vec![b'x'; (1 << 20) + 1];
    assert_eq!(code(publish(&cluster, 0, "a", &large)), (413, "body_too_large".to_owned()));
    let mut request = format!("POST /topics/a HTTP/1.0\r\nAuthorization: {}\r\n", basic(USER.0, USER.1)).into_bytes();
    request.extend(b"Content-Length: 3\r\n\r\n1.0");
    taken(&exchange(to, &request, true).unwrap());
    let got = message(&mut bystander);
    assert_eq!((got.topic.as_str(), got.payload.as_slice()), ("a", &b"1.0"[..]), "the only one that was taken");
    quiet(&mut bystander);
}

#[test]
fn over_quota_a_message_is_429_and_reaches_nobody() {
    const LIMIT: u32 = 60;
    let cluster = Cluster::start(Options { messages_per_second: LIMIT, ..Options::default() });
    let began = Instant::now();
    let (mut admitted, mut refused) = (0_u32, 0_u32);
    while began.elapsed() < Duration::from_secs(3) {
        for place in 0..3 {
            let response = publish(&cluster, place, "nobody", b"x");
            match response.status {
                200 => admitted += 1,
                429 => {
                    refused += 1;
                    let wait: u32 = response.header("retry-after").unwrap().parse().unwrap();
                    assert!(wait >= 1 && response.text().contains("\"code\":\"over_quota\""), "{response:?}");
                }
                _ => panic!("{response:?}"),
            }
        }
    }
    let most = f64::from(LIMIT) * 1.1 * (began.elapsed().as_secs_f64() + 1.0);
    assert!(f64::from(admitted) <= most && refused > 0, "{admitted} admitted, {refused} refused, at most {most:.0}");
}
