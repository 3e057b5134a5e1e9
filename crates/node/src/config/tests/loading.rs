//! What a configuration is read from, and what wins.

use super::{Scratch, load, refused};
use crate::config::{Config, ConfigError, Origin, PolicyAction, PolicyEffect, Preset, Profile, Secret};
use rollcall_contracts::Role;
use std::path::PathBuf;

#[test]
fn without_any_configuration_there_is_a_single_node_on_loopback() {
    let loaded = Config::load(None, []).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.origins.is_empty());
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let config = loaded.config;
    assert_eq!(config.node.data_dir, PathBuf::from("rollcall-data"));
    assert_eq!((config.cluster.expect_nodes, config.cluster.partitions, config.cluster.replicas), (1, 6, 3));
    assert_eq!((config.cluster.lease_ms, config.cluster.status_deadline_ms), (5_000, 1_000));
    assert_eq!(config.cluster.offline_record_keep_s, 604_800);
    assert_eq!(config.listeners.mqtt.unwrap().to_string(), "127.0.0.1:1883");
    assert_eq!(config.listeners.http.unwrap().to_string(), "127.0.0.1:8080");
    assert_eq!(config.listeners.admin.unwrap().to_string(), "127.0.0.1:8081");
    assert_eq!(config.listeners.mesh.to_string(), "127.0.0.1:7400");
    assert_eq!((config.listeners.mqtts, config.listeners.ws), (None, None));
    assert_eq!(config.limits.client_queue_messages, 1_000);
    assert!(!config.auth.anonymous);
    assert_eq!(config.auth.policy_default_effect, PolicyEffect::Deny);
}

#[test]
fn the_three_node_example_of_the_contract_is_read_as_it_is_meant() {
    let loaded = load(
        r#"
        [node]
        name = "n1"
        data_dir = "data/n1"
        advertise_host = "127.0.0.1"
        [cluster]
        name = "lab"
        seeds = ["127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403"]
        expect_nodes = 3
        secret = "change-me"
        [listeners]
        mqtt = "127.0.0.1:1881"
        http = "127.0.0.1:8181"
        admin = "127.0.0.1:8191"
        mesh = "127.0.0.1:7401"
        [limits]
        messages_per_second = 100000
        [[auth.bootstrap_users]]
        username = "user0"
        password = "secret0"
        role = "client"
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.config.cluster.seeds.len(), 3);
    assert_eq!(loaded.config.cluster.secret.as_ref().unwrap().reveal(), "change-me");
    assert_eq!(loaded.config.limits.messages_per_second, 100_000);
    let user = &loaded.config.auth.bootstrap_users[0];
    assert_eq!((user.username.as_str(), user.role), ("user0", Role::Client));
    assert_eq!(user.password, Some(Secret::new("secret0")));
    assert!(matches!(loaded.origins["auth.bootstrap_users[0].password"], Origin::File(_)));
    assert!(matches!(loaded.origins["cluster.expect_nodes"], Origin::File(_)));
    assert!(!loaded.origins.contains_key("cluster.lease_ms"));
}

#[test]
fn the_environment_wins_over_the_file_and_is_named_as_the_origin() {
    let loaded = load(
        "[cluster]\nlease_ms = 4000\nname = \"lab\"\n[node]\nprofile = \"default\"",
        &[
            ("ROLLCALL_CLUSTER__LEASE_MS", "7_000"),
            ("ROLLCALL_CLUSTER__SEEDS", "127.0.0.1:7401, 127.0.0.1:7402"),
            ("ROLLCALL_NODE__PROFILE", "conformance"),
            ("ROLLCALL_LISTENERS__WS", "[::1]:8083"),
            ("ROLLCALL_LISTENERS__ADMIN", "off"),
            ("ROLLCALL_LISTENERS__PROXY_PROTOCOL", "true"),
            ("ROLLCALL_CLUSTER__TLS__CA_FILE", "ca.pem"),
            ("ROLLCALL_CLUSTER__TLS__CERT_FILE", "cert.pem"),
            ("ROLLCALL_CLUSTER__TLS__KEY_FILE", "key.pem"),
            ("ROLLCALL_LIMITS__PRESET", "tdmq"),
            ("ROLLCALL_LIMITS__CONNECTIONS", "10000"),
            ("OTHER_CLUSTER__LEASE_MS", "1"),
        ],
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.cluster.lease_ms, 7_000);
    assert_eq!(config.cluster.name, "lab");
    assert_eq!(config.cluster.seeds, ["127.0.0.1:7401", "127.0.0.1:7402"]);
    assert_eq!(config.node.profile, Profile::Conformance);
    assert_eq!(config.listeners.ws.unwrap().to_string(), "[::1]:8083");
    assert_eq!(config.listeners.admin, None);
    assert!(config.listeners.proxy_protocol);
    assert_eq!(config.cluster.tls.as_ref().unwrap().ca_file, PathBuf::from("ca.pem"));
    assert_eq!(config.limits.preset, Preset::Tdmq);
    assert_eq!(loaded.origins["cluster.lease_ms"], Origin::Environment("ROLLCALL_CLUSTER__LEASE_MS".to_owned()));
    assert!(matches!(loaded.origins["cluster.name"], Origin::File(_)));
}

#[test]
fn lists_of_tables_can_be_set_whole_or_place_by_place() {
    let file = "[[auth.bootstrap_users]]\nusername = \"a\"\npassword = \"x\"";
    let loaded = load(
        file,
        &[
            ("ROLLCALL_AUTH__BOOTSTRAP_USERS__0__PASSWORD", "y"),
            ("ROLLCALL_AUTH__BOOTSTRAP_USERS__1__USERNAME", "b"),
            ("ROLLCALL_AUTH__BOOTSTRAP_USERS__1__PASSWORD", "z"),
            ("ROLLCALL_AUTH__BOOTSTRAP_USERS__1__ROLE", "viewer"),
        ],
    )
    .unwrap();
    let users = &loaded.config.auth.bootstrap_users;
    assert_eq!(users.len(), 2);
    assert_eq!(users[0].password, Some(Secret::new("y")));
    assert_eq!((users[1].username.as_str(), users[1].role), ("b", Role::Viewer));

    let loaded = load(
        file,
        &[
            (
                "ROLLCALL_AUTH__BOOTSTRAP_USERS",
                r#"[{ username = "c", password = "w" }, { username = "d", password = "v" }]"#,
            ),
            ("ROLLCALL_AUTH__BOOTSTRAP_USERS__1__PASSWORD", "u"),
            (
                "ROLLCALL_AUTH__BOOTSTRAP_POLICIES",
                r#"[{ name = "all", actions = ["pub", "sub"], resources = ["*"], qos = [0], retain = 2 }]"#,
            ),
            ("ROLLCALL_AUTH__BOOTSTRAP_POLICIES__0__ACTIONS", "connect,pub"),
            ("ROLLCALL_AUTH__BOOTSTRAP_POLICIES__0__QOS", "0, 1"),
        ],
    )
    .unwrap();
    let auth = &loaded.config.auth;
    assert_eq!(auth.bootstrap_users.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!(auth.bootstrap_users[1].password, Some(Secret::new("u")));
    assert_eq!(auth.bootstrap_policies[0].actions, [PolicyAction::Connect, PolicyAction::Pub]);
    assert_eq!(auth.bootstrap_policies[0].qos, [0, 1]);
}

#[test]
fn many_entries_from_the_environment_are_taken_in_the_order_of_their_numbers() {
    let names: Vec<String> = (0..12).map(|n| format!("ROLLCALL_AUTH__BOOTSTRAP_USERS__{n}__USERNAME")).collect();
    let passwords: Vec<String> = (0..12).map(|n| format!("ROLLCALL_AUTH__BOOTSTRAP_USERS__{n}__PASSWORD")).collect();
    let users: Vec<String> = (0..12).map(|n| format!("u{n}")).collect();
    let variables: Vec<(&str, &str)> =
        (0..12).flat_map(|n| [(names[n].as_str(), users[n].as_str()), (passwords[n].as_str(), "x")]).collect();
    let loaded = load("", &variables).unwrap();
    let read: Vec<&str> = loaded.config.auth.bootstrap_users.iter().map(|user| user.username.as_str()).collect();
    assert_eq!(read, users);
}

#[test]
fn variables_that_a_platform_injects_are_left_alone() {
    let loaded = load(
        "",
        &[
            ("ROLLCALL_SERVICE_HOST", "10.0.0.1"),
            ("ROLLCALL_PORT_1883_TCP", "tcp://10.0.0.1:1883"),
            ("ROLLCALL_URL", "x"),
        ],
    );
    assert_eq!(loaded.unwrap().config, Config::default());
}

#[test]
fn secrets_are_read_from_their_files_without_the_line_end() {
    let scratch = Scratch::new();
    let password = scratch.file("password", "pass word\r\n");
    let mesh = scratch.file("mesh", "s3cret\n");
    let admin = scratch.file("admin", "root\n");
    let loaded = load(
        &format!(
            "[cluster]\nsecret_file = {mesh:?}\n[[auth.bootstrap_users]]\nusername = \"a\"\npassword_file = {password:?}"
        ),
        &[("ROLLCALL_ADMIN_PASSWORD_FILE", admin.to_str().unwrap())],
    )
    .unwrap();
    assert_eq!(loaded.config.auth.bootstrap_users[0].password, Some(Secret::new("pass word")));
    assert_eq!(loaded.config.cluster.secret, Some(Secret::new("s3cret")));
    assert_eq!(loaded.config.auth.admin_password, Some(Secret::new("root")));
}

#[test]
fn a_secret_file_that_is_missing_or_empty_or_doubled_is_refused() {
    let scratch = Scratch::new();
    let empty = scratch.file("empty", "\n");
    let user = "[[auth.bootstrap_users]]\nusername = \"a\"\n";
    for (text, expected) in [
        (format!("{user}password_file = \"/nowhere/at/all\""), "auth.bootstrap_users[0].password_file"),
        (format!("{user}password_file = {empty:?}"), "it is empty"),
        (format!("{user}password = \"x\"\npassword_file = {empty:?}"), "are both set"),
        (format!("[cluster]\nsecret = \"x\"\nsecret_file = {empty:?}"), "are both set"),
    ] {
        let sentences = refused(&text, &[]);
        assert!(sentences[0].contains(expected), "{sentences:?}");
    }
    let both =
        refused("", &[("ROLLCALL_ADMIN_PASSWORD", "x"), ("ROLLCALL_ADMIN_PASSWORD_FILE", empty.to_str().unwrap())]);
    assert!(both[0].contains("are both set"), "{both:?}");
}

#[test]
fn secrets_show_nowhere() {
    let loaded = load(
        "[cluster]\nsecret = \"hush-hush\"\n[[auth.bootstrap_users]]\nusername = \"a\"\npassword = \"hush-hush\"",
        &[("ROLLCALL_ADMIN_PASSWORD", "hush-hush")],
    )
    .unwrap();
    let shown = format!("{loaded:?} {:#?} {:?}", loaded.config, loaded.entries());
    assert!(!shown.contains("hush-hush"), "{shown}");
    assert!(!toml::to_string(&loaded.config).unwrap().contains("hush-hush"));
    let syntax = load("[cluster]\nsecret = hush-hush", &[]).unwrap_err();
    assert!(matches!(syntax, ConfigError::Syntax { line: 2, .. }), "{syntax:?}");
    assert!(!syntax.to_string().contains("hush-hush"), "{syntax}");
    let kind = refused("[[auth.bootstrap_users]]\nusername = \"hush-hush:\"\npassword = 5", &[]);
    assert!(kind[0].contains("password must be a text"), "{kind:?}");
}

#[test]
fn the_listing_shows_each_key_with_where_it_came_from() {
    let loaded = load(
        "[cluster]\nsecret = \"x\"\n[[auth.bootstrap_users]]\nusername = \"a\"\npassword = \"b\"",
        &[("ROLLCALL_NODE__NAME", "n7")],
    )
    .unwrap();
    let entries = loaded.entries();
    let entry = |path: &str| entries.iter().find(|entry| entry.path == path).unwrap();
    assert_eq!(entry("node.name").value.as_deref(), Some("\"n7\""));
    assert_eq!(entry("node.name").origin, Origin::Environment("ROLLCALL_NODE__NAME".to_owned()));
    assert_eq!(entry("cluster.secret").value.as_deref(), Some("\"***\""));
    assert_eq!(entry("cluster.lease_ms").value.as_deref(), Some("5000"));
    assert_eq!(entry("cluster.lease_ms").origin, Origin::Default);
    assert_eq!(entry("cluster.tls.ca_file").value, None);
    assert_eq!(entry("listeners.mqtts").value.as_deref(), Some("\"off\""));
    assert_eq!(entry("listeners.tls").value.as_deref(), Some("[]"));
    assert_eq!(entry("auth.bootstrap_users[0].username").value.as_deref(), Some("\"a\""));
    assert_eq!(entry("auth.bootstrap_users[0].role").value.as_deref(), Some("\"client\""));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Config::load(Some(std::path::Path::new("/nowhere/rollcall.toml")), []).unwrap_err();
    assert!(matches!(missing, ConfigError::Unreadable { .. }));
    assert!(missing.to_string().contains("/nowhere/rollcall.toml"), "{missing}");
    let scratch = Scratch::new();
    let path = scratch.0.join("binary.toml");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    assert!(matches!(Config::load(Some(&path), []), Err(ConfigError::Unreadable { .. })));
}
