//! Every sentence with which a configuration is refused, and every warning.

use super::{load, refused};

/// One sentence, and it says this.
fn only(text: &str, variables: &[(&str, &str)], expected: &str) {
    let sentences = refused(text, variables);
    assert_eq!(sentences.len(), 1, "{text}\n{sentences:#?}");
    assert!(sentences[0].contains(expected), "{text}\nexpected: {expected}\ngot: {}", sentences[0]);
}

const USER: &str = "\n[[auth.bootstrap_users]]\nusername = \"a\"\npassword = \"b\"\n";

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_name() {
    only("[cluster]\nlease_mss = 1", &[], "there is no key cluster.lease_mss; did you mean cluster.lease_ms?");
    only("[node]\nlease_ms = 1", &[], "there is no key node.lease_ms; did you mean cluster.lease_ms?");
    only("[clutser]\nname = \"a\"", &[], "there is no key clutser; did you mean");
    only("naem = \"n1\"", &[], "there is no key naem");
    only("[cluster.tls]\nca_fiel = \"a\"", &[], "did you mean cluster.tls.ca_file?");
    only(
        "[[listeners.tls]]\ncertfile = \"a\"",
        &[],
        "there is no key listeners.tls[0].certfile; did you mean listeners.tls[].cert_file?",
    );
    only("[[auth.bootstrap_users]]\nuser = \"a\"", &[], "did you mean auth.bootstrap_users[].username?");
    only("\"node.name\" = \"n1\"", &[], "unknown field");
    only(
        "",
        &[("ROLLCALL_CLUSTER__LEASE", "1")],
        "the variable ROLLCALL_CLUSTER__LEASE names no key; did you mean ROLLCALL_CLUSTER__LEASE_MS?",
    );
    only(
        "",
        &[("ROLLCALL_CLUSTER_LEASE_MS", "1")],
        "ROLLCALL_CLUSTER_LEASE_MS is not read; did you mean ROLLCALL_CLUSTER__LEASE_MS?",
    );
    only(
        "",
        &[("ROLLCALL_AUTH__BOOTSTRAP_USERS", "[{ user = \"a\" }]")],
        "did you mean auth.bootstrap_users[].username?",
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let sentences = refused("[cluster]\nlease_mss = 1\nname = 5\n[node]\nname = true", &[("ROLLCALL_NODE__X", "1")]);
    assert_eq!(sentences.len(), 4, "{sentences:#?}");
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_the_kind_that_is_wanted() {
    only("[cluster]\nlease_ms = \"5s\"", &[], "cluster.lease_ms must be a whole number");
    only("[cluster]\nlease_ms = -1", &[], "cluster.lease_ms must be a whole number from 0");
    only("[cluster]\npartitions = 70000", &[], "cluster.partitions must be a whole number from 0 to 65535, not 70000");
    only("[cluster]\nseeds = \"a:1\"", &[], "cluster.seeds must be a list of texts in quotes");
    only("[cluster]\ntls = 5", &[], "cluster.tls must be a table");
    only("cluster = 5", &[], "cluster must be a table");
    only("[listeners]\nmqtt = \"localhost\"", &[], "listeners.mqtt must be an IP address with a port");
    only("[listeners]\nmesh = \"off\"", &[], "listeners.mesh must be an IP address with a port");
    only("[listeners]\ntls = 5", &[], "listeners.tls must be a list of tables");
    only(
        "[node]\nprofile = \"confromance\"",
        &[],
        "must be \"default\" or \"conformance\", not \"confromance\"; did you mean conformance?",
    );
    only("[auth]\nanonymous = \"yes\"", &[], "auth.anonymous must be true or false");
    only(
        "[auth]\nauthenticators = [\"user\"]",
        &[],
        "auth.authenticators[0] must be \"users\" or \"jwt\" or \"jwks\" or \"scram\" or \"http\" or \"x509",
    );
    only(
        "[[auth.bootstrap_users]]\nrole = \"root\"",
        &[],
        "role must be \"admin\" or \"operator\" or \"viewer\" or \"client\"",
    );
    only("", &[("ROLLCALL_CLUSTER__LEASE_MS", "5s")], "ROLLCALL_CLUSTER__LEASE_MS must be a whole number, not \"5s\"");
    only("", &[("ROLLCALL_AUTH__ANONYMOUS", "yes")], "ROLLCALL_AUTH__ANONYMOUS must be true or false, not \"yes\"");
    only("", &[("ROLLCALL_LISTENERS__MQTT", "1883")], "ROLLCALL_LISTENERS__MQTT must be an IP address with a port");
    only("", &[("ROLLCALL_AUTH__BOOTSTRAP_USERS", "a,b")], "is not a list as TOML writes it");
    only("", &[("ROLLCALL_AUTH__BOOTSTRAP_USERS__1__USERNAME", "a")], "leaves a gap: the next entry of that list is 0");
    only("", &[("ROLLCALL_AUTH__BOOTSTRAP_POLICIES__0__QOS", "0,x")], "must be whole numbers separated by commas");
}

#[test]
fn names_and_hosts_keep_to_their_characters() {
    for name in ["\"\"", "\"a b\"", "\"-a\"", "\"ä\"", "\"a/b\"", &format!("{:?}", "a".repeat(65))] {
        only(&format!("[node]\nname = {name}"), &[], "node.name must be 1 to 64 of A-Z a-z 0-9 . _ -");
        only(&format!("[cluster]\nname = {name}"), &[], "cluster.name must be 1 to 64");
    }
    for host in ["", "a:1883", "a b", "a..b", "[::1]"] {
        only(&format!("[node]\nadvertise_host = {host:?}"), &[], "node.advertise_host must be a host name");
    }
    for host in ["rollcall-0.rollcall.default.svc.cluster.local", "10.0.0.1", "::1", "localhost", "a."] {
        load(&format!("[node]\nname = \"rollcall-0\"\nadvertise_host = {host:?}"), &[]).unwrap();
    }
    only("[node]\ndata_dir = \"\"", &[], "node.data_dir is empty");
}

#[test]
fn what_everybody_can_reach_must_know_who_may_come_in() {
    for key in ["mqtt", "ws", "http", "admin"] {
        let text = format!("[listeners]\n{key} = \"0.0.0.0:9999\"");
        only(&text, &[], "no user is configured; set ROLLCALL_ADMIN_PASSWORD");
        only(&format!("{text}\n[auth]\nanonymous = true{USER}"), &[], "auth.anonymous lets everybody in");
        only(
            &format!("{text}\n[node]\nprofile = \"conformance\"{USER}"),
            &[],
            "node.profile = \"conformance\" lets everybody in",
        );
        load(&format!("{text}{USER}"), &[]).unwrap();
        load(&text, &[("ROLLCALL_ADMIN_PASSWORD", "x")]).unwrap();
    }
    load("[auth]\nanonymous = true\n[node]\nprofile = \"conformance\"", &[]).unwrap();
    only("[listeners]\nhttp = \"[::]:9999\"", &[], "listeners.http is [::]:9999, which is not loopback");
    only("", &[("ROLLCALL_ADMIN_PASSWORD", "")], "ROLLCALL_ADMIN_PASSWORD is empty");
    only("[auth]\nauthenticators = []", &[], "auth.authenticators is empty");
}

#[test]
fn a_mesh_without_proof_is_for_loopback_only() {
    only(
        "[listeners]\nmesh = \"0.0.0.0:7400\"",
        &[],
        "listeners.mesh is 0.0.0.0:7400, which is not loopback: set cluster.secret",
    );
    let seeds = "[cluster]\nexpect_nodes = 3\nreplicas = 3\nseeds = [\"n1.example:7400\", \"127.0.0.1:7400\"]\n";
    let host = "[node]\nadvertise_host = \"n2.example\"";
    only(
        &format!("{seeds}{host}"),
        &[],
        "cluster.seeds names n1.example:7400, which is not loopback: set cluster.secret",
    );
    load(&format!("{seeds}secret = \"x\"\n{host}"), &[]).unwrap();
    let tls = "tls = { ca_file = \"a\", cert_file = \"b\", key_file = \"c\" }\n";
    load(&format!("{seeds}{tls}{host}"), &[]).unwrap();
    only(&format!("{seeds}secret = \"\"\n{host}"), &[], "cluster.secret is empty");
    only("[cluster]\ntls = { ca_file = \"a\", cert_file = \"b\" }", &[], "set cluster.tls.key_file");
    load("[cluster]\nseeds = [\"localhost:1\", \"[::1]:2\", \"127.1.2.3:4\"]\nexpect_nodes = 3", &[]).unwrap();
    only(
        &format!("{seeds}secret = \"x\""),
        &[],
        "node.advertise_host is 127.0.0.1, under which the other nodes would reach themselves",
    );
}

#[test]
fn seeds_are_addresses_and_there_are_as_many_as_nodes() {
    for seed in ["n1", "n1:", ":7400", "n1:0", "n1:70000", "::1:7400", "[n1]:7400"] {
        let sentences = refused(&format!("[cluster]\nsecret = \"x\"\nseeds = [{seed:?}]"), &[]);
        assert!(sentences[0].contains("cluster.seeds must hold addresses"), "{seed}: {sentences:?}");
    }
    only(
        "[cluster]\nseeds = [\"127.0.0.1:1\", \"127.0.0.1:1\"]\nexpect_nodes = 2\nreplicas = 1",
        &[],
        "names 127.0.0.1:1 twice",
    );
    only("[cluster]\nexpect_nodes = 3", &[], "cluster.expect_nodes is 3 but cluster.seeds is empty");
    only("[cluster]\nexpect_nodes = 0", &[], "cluster.expect_nodes must be at least 1");
}

#[test]
fn numbers_keep_to_their_ranges_and_relations() {
    for (text, expected) in [
        ("[cluster]\npartitions = 0", "cluster.partitions must be from 1 to 1024, not 0"),
        ("[cluster]\npartitions = 1025", "cluster.partitions must be from 1 to 1024"),
        ("[cluster]\nreplicas = 0", "cluster.replicas must be from 1 to 7"),
        ("[cluster]\nreplicas = 9", "cluster.replicas must be from 1 to 7"),
        ("[cluster]\nlease_ms = 999\nstatus_deadline_ms = 100", "cluster.lease_ms must be from 1000 to 600000"),
        ("[cluster]\nlease_ms = 600001\noffline_record_keep_s = 700", "cluster.lease_ms must be from"),
        ("[cluster]\nstatus_deadline_ms = 5000", "less than cluster.lease_ms (5000), not 5000"),
        ("[cluster]\nstatus_deadline_ms = 9", "cluster.status_deadline_ms must be at least 10"),
        ("[cluster]\noffline_record_keep_s = 4", "must not be shorter than cluster.lease_ms"),
        ("[limits]\nburst_percent = 1001", "limits: burst_percent must be at most 1000"),
        ("[limits]\npacket_bytes_max = 127\npayload_bytes_max = 1", "limits.packet_bytes_max must be at least 128"),
        ("[limits]\npacket_bytes_max = 268435461", "limits: packet_bytes_max must be at most 268435460"),
        ("[limits]\npayload_bytes_max = 1048577", "must not exceed packet_bytes_max"),
        ("[limits]\ntopic_bytes_max = 0", "limits.topic_bytes_max must be at least 1"),
        ("[limits]\ntopic_levels_max = 0", "limits.topic_levels_max must be at least 1"),
        ("[limits]\nclient_id_bytes_max = 22", "limits.client_id_bytes_max must be at least 23"),
        ("[limits]\nclient_id_bytes_max = 65536", "limits: client_id_bytes_max must be at most 65535"),
        ("[limits]\nconnect_timeout_ms = 99", "limits.connect_timeout_ms must be at least 100"),
        ("[limits]\nkeep_alive_max_s = 65536", "limits: keep_alive_max_s must be at most 65535"),
        ("[limits]\ntopic_alias_max = 65536", "limits: topic_alias_max must be at most 65535"),
        ("[limits]\nclient_queue_messages = 0\nclient_queue_bytes = 0", "a queue needs an end"),
        ("[limits]\npreset = \"tdmq\"", "derives its numbers from connections: set it"),
        (
            "[cluster]\nexpect_nodes = 2\nseeds = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n[limits]\nmessages_per_second = 1",
            "limits: messages_per_second is 1, which leaves nothing to some of 2 nodes",
        ),
        ("[telemetry]\notlp_endpoint = \"localhost:4317\"", "must start with http:// or https://"),
        (
            "[broker]\nshared_strategy = \"hash\"",
            "broker.shared_strategy must be \"round_robin\" or \"random\" or \"hash_of_client\", not \"hash\"",
        ),
        ("[telemetry]\nlog_level = \" \"", "telemetry.log_level is empty"),
    ] {
        only(text, &[], expected);
    }
}

#[test]
fn listeners_do_not_want_the_same_port_and_have_their_certificates() {
    only("[listeners]\nhttp = \"127.0.0.1:1883\"", &[], "listeners.mqtt and listeners.http both want 127.0.0.1:1883");
    only(&format!("[listeners]\nhttp = \"0.0.0.0:7400\"{USER}"), &[], "listeners.http and listeners.mesh both want");
    load("[listeners]\nhttp = \"127.0.0.1:0\"\nmqtt = \"127.0.0.1:0\"", &[]).unwrap();
    load("[listeners]\nhttp = \"127.0.0.2:1883\"", &[]).unwrap();
    for key in ["mqtts", "wss", "https"] {
        let text = format!("[listeners]\n{key} = \"127.0.0.1:9999\"\n");
        only(&text, &[], &format!("listeners.{key} needs a certificate"));
        load(&format!("{text}[[listeners.tls]]\ncert_file = \"a\"\nkey_file = \"b\""), &[]).unwrap();
    }
    let two = "[[listeners.tls]]\ncert_file = \"a\"\nkey_file = \"b\"\n\
               [[listeners.tls]]\ncert_file = \"c\"\nkey_file = \"d\"\nclient_ca_file = \"e\"";
    load(&format!("[listeners]\nmqtts = \"127.0.0.1:9999\"\n{two}"), &[]).unwrap();
    only(&format!("[listeners]\nhttps = \"127.0.0.1:9999\"\n{two}"), &[], "set the same client_ca_file");
    only("[[listeners.tls]]\ncert_file = \"a\"", &[], "listeners.tls[0] needs both of its files; set key_file");
}

#[test]
fn bootstrap_users_and_policies_are_complete() {
    let user = |rest: &str| format!("[[auth.bootstrap_users]]\n{rest}\n");
    only(&user("username = \"a\""), &[], "auth.bootstrap_users[0] has no password; set password or password_file");
    only(&user("username = \"a\"\npassword = \"\""), &[], "has no password");
    for name in ["\"\"", "\"a:b\"", "\"a\\u0007\"", &format!("{:?}", "a".repeat(257))] {
        only(&user(&format!("username = {name}\npassword = \"x\"")), &[], "without colons and control characters");
    }
    only(&format!("{USER}{USER}"), &[], "auth.bootstrap_users[1].username a is there twice");

    let policy = |rest: &str| format!("[[auth.bootstrap_policies]]\nname = \"p\"\n{rest}\n");
    only(&policy(""), &[], "auth.bootstrap_policies[0].actions is empty");
    only(&policy("actions = [\"pub\"]"), &[], "auth.bootstrap_policies[0].resources is empty");
    only(&policy("actions = [\"connect\"]\nqos = []"), &[], "qos must hold some of 0, 1, 2");
    only(&policy("actions = [\"connect\"]\nqos = [3]"), &[], "qos must be a whole number from 0 to 2, not 3");
    only(&policy("actions = [\"connect\"]\nretain = 0"), &[], "retain must be from 1 to 3, not 0");
    only(&policy("actions = [\"connect\"]\nip = \"10.0.0.0/33\""), &[], "ip must be an address or a block");
    only(&policy("actions = [\"connect\"]\nip = \"home\""), &[], "ip must be an address or a block");
    let complete = policy("actions = [\"connect\"]\nip = \"10.0.0.0/8\"");
    only(&format!("{complete}{complete}"), &[], "auth.bootstrap_policies[1].name p is there twice");
    load(&format!("{complete}[[auth.bootstrap_policies]]\nname = \"q\"\nactions = [\"sub\"]\nresources = [\"*\"]\nip = \"::1\""), &[]).unwrap();
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let three = "[cluster]\nseeds = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]\n";
    for (text, expected) in [
        (three.to_owned(), "cluster.expect_nodes is 1 while cluster.seeds names 3 nodes"),
        (format!("{three}expect_nodes = 3\nreplicas = 5"), "each partition has 3 copies until more join"),
        (format!("{three}expect_nodes = 3\nreplicas = 2"), "an even number survives no more failures than 1"),
        ("[telemetry]\notlp_endpoint = \"http://a:4317\"".to_owned(), "exports no traces yet"),
    ] {
        let warnings = load(&text, &[]).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(warnings[0].contains(expected), "{warnings:?}");
    }
    assert_eq!(load(&format!("{three}expect_nodes = 3"), &[]).unwrap().warnings, Vec::<String>::new());
}
