//! Defaults, preset and relations of the limits.

use rollcall_quota::{Charge, LIMIT_KEYS, Limits, LimitsError, Preset};
use rollcall_types::QoS;

fn tdmq(connections: u32) -> Limits {
    Limits { preset: Preset::Tdmq, connections, ..Limits::default() }
}

#[test]
fn the_defaults_are_valid_and_are_the_documented_ones() {
    let limits = Limits::default();
    assert_eq!(limits.validate(), Ok(()));
    assert_eq!(limits.validate_for(255), Ok(()));
    let shown = serde_json::to_string(&limits).unwrap();
    let documented = concat!(
        r#"{"preset":"none","messages_per_second":0,"burst_percent":10,"connections":0,"subscriptions":0,"#,
        r#""connects_per_second":0,"subscribes_per_second":0,"unsubscribes_per_second":0,"will_connects_per_second":0,"#,
        r#""client_messages_per_second":0,"client_filters":0,"client_queue_messages":1000,"client_queue_bytes":67108864,"#,
        r#""client_inflight":0,"client_connects_per_minute":0,"client_takeovers_per_minute":0,"session_expiry_max_s":604800,"#,
        r#""keep_alive_max_s":0,"packet_bytes_max":1048576,"payload_bytes_max":1048576,"topic_bytes_max":1024,"#,
        r#""topic_levels_max":128,"client_id_bytes_max":65535,"topic_alias_max":32,"connect_timeout_ms":10000,"auth_failures_per_minute":60,"#,
        r#""retained_messages":1000000,"retained_bytes":268435456,"event_streams":1000}"#,
    );
    assert_eq!(shown, documented);
}

#[test]
fn keys_left_out_keep_their_defaults() {
    let limits: Limits =
        serde_json::from_str(r#"{"messages_per_second":100000,"preset":"tdmq","connections":7}"#).unwrap();
    assert_eq!(limits, Limits { messages_per_second: 100_000, ..tdmq(7) });
}

#[test]
fn every_limit_has_its_line() {
    let value = serde_json::to_value(Limits::default()).unwrap();
    let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut lines: Vec<&str> = LIMIT_KEYS.iter().map(|line| line.key).collect();
    fields.sort_unstable();
    lines.sort_unstable();
    assert_eq!(fields, lines);
}

#[test]
fn the_preset_derives_its_numbers_from_the_connections() {
    let small = tdmq(5_000).effective();
    assert_eq!(
        (small.connects_per_second, small.subscribes_per_second, small.unsubscribes_per_second),
        (100, 100, 100)
    );
    let large = tdmq(1_000_000).effective();
    assert_eq!((large.connects_per_second, large.subscribes_per_second), (10_000, 10_000));
    assert_eq!((large.unsubscribes_per_second, large.will_connects_per_second), (10_000, 100));
    assert_eq!((large.client_filters, large.subscriptions), (30, 30_000_000));
}

#[test]
fn what_is_set_beside_the_preset_counts_more() {
    let limits = Limits { connects_per_second: 7, client_filters: 3, ..tdmq(1_000_000) }.effective();
    assert_eq!((limits.connects_per_second, limits.client_filters), (7, 3));
}

#[test]
fn a_preset_without_connections_is_refused() {
    assert_eq!(tdmq(0).validate(), Err(LimitsError::PresetWithoutConnections));
    assert_eq!(tdmq(1).validate(), Ok(()));
    assert!(tdmq(u32::MAX).validate().is_err(), "thirty times as many subscriptions would not fit");
}

#[test]
fn a_limit_says_in_a_sentence_what_is_wrong_with_it() {
    let limits = Limits { payload_bytes_max: 2_000_000, ..Limits::default() };
    let sentence = limits.validate().unwrap_err().to_string();
    assert_eq!(sentence, "payload_bytes_max (2000000) must not exceed packet_bytes_max (1048576)");
    let limits = Limits { client_id_bytes_max: 65_536, ..Limits::default() };
    let sentence = limits.validate().unwrap_err().to_string();
    assert_eq!(sentence, "client_id_bytes_max must be at most 65535, it is 65536");
}

#[test]
fn a_rate_that_leaves_a_node_nothing_is_refused() {
    let limits = Limits { messages_per_second: 2, ..Limits::default() };
    assert_eq!(limits.validate_for(2), Ok(()));
    let refused = LimitsError::BelowNodes { key: "messages_per_second", limit: 2, nodes: 3 };
    assert_eq!(limits.validate_for(3), Err(refused));
    assert!(tdmq(10).validate_for(101).is_err(), "the preset's own rates are shared too");
}

#[test]
fn a_query_costs_what_a_qos_0_publish_costs() {
    let publish = Charge::MessageReceived(QoS::AtMostOnce).units();
    assert_eq!(Charge::StatusQueries(1).units(), publish);
    assert_eq!(Charge::StatusQueries(1_000).units(), 1_000 * publish);
    assert_eq!(Charge::HttpPublish.units(), publish);
}
