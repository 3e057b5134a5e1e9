//! The structs, the table of keys, `rollcall.example.toml` and `docs/reference/configuration.md` say the same.
//!
//! The two files are written by these tests when `ROLLCALL_TEST_REWRITE=1` is set, and compared otherwise.

use super::{Scratch, load};
use crate::config::{
    BootstrapPolicy, BootstrapUser, ClusterConfig, Config, JwtConfig, KEYS, Key, Kind, ListenerTls, MeshTls, Secret,
    show::value_at,
};
use rollcall_contracts::Role;
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};
use toml::{Table, Value};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rollcall.example.toml");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
const PAGE_START: &str = "<!-- keys: generated from the code -->\n";
const PAGE_END: &str = "<!-- end of keys -->";

/// A configuration in which every optional key is set. No field is left to `Default` where some are optional, so that
/// a new one does not compile until it is here.
fn everything_set() -> Config {
    let text = || Some(String::new());
    let path = || Some("x".into());
    let mut config = Config::default();
    let plain = ClusterConfig::default();
    config.cluster = ClusterConfig {
        name: plain.name,
        seeds: plain.seeds,
        expect_nodes: plain.expect_nodes,
        partitions: plain.partitions,
        replicas: plain.replicas,
        lease_ms: plain.lease_ms,
        status_deadline_ms: plain.status_deadline_ms,
        offline_record_keep_s: plain.offline_record_keep_s,
        secret: Some(Secret::new("x")),
        secret_file: path(),
        tls: Some(MeshTls { ca_file: "x".into(), cert_file: "x".into(), key_file: "x".into() }),
    };
    config.listeners.tls = vec![ListenerTls {
        cert_file: "x".into(),
        key_file: "x".into(),
        server_names: vec![],
        client_ca_file: path(),
        ..ListenerTls::default()
    }];
    let jwt = JwtConfig::default();
    config.auth.jwt = JwtConfig { secret: Some(Secret::new("x")), secret_file: path(), public_key_file: path(), ..jwt };
    config.auth.jwks.ca_file = path();
    config.auth.http.ca_file = path();
    config.auth.bootstrap_users = vec![BootstrapUser {
        username: String::new(),
        password: Some(Secret::new("x")),
        password_file: path(),
        role: Role::Client,
    }];
    let policy = BootstrapPolicy::default();
    config.auth.bootstrap_policies = vec![BootstrapPolicy {
        name: policy.name,
        effect: policy.effect,
        actions: policy.actions,
        resources: policy.resources,
        client_id: text(),
        username: text(),
        ip: text(),
        qos: policy.qos,
        retain: policy.retain,
    }];
    config
}

fn leaves(prefix: &str, value: &Value, into: &mut BTreeSet<String>) {
    let is_list_of_tables = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_table);
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let dot = if prefix.is_empty() { "" } else { "." };
                leaves(&format!("{prefix}{dot}{name}"), value, into);
            }
        }
        Value::Array(list) if is_list_of_tables(list) => {
            into.insert(prefix.to_owned());
            list.iter().for_each(|entry| leaves(&format!("{prefix}[]"), entry, into));
        }
        _ => {
            into.insert(prefix.to_owned());
        }
    }
}

fn known_paths() -> BTreeSet<String> {
    KEYS.iter().map(|key| key.path.to_owned()).collect()
}

/// The default of a key as TOML writes it.
fn default_of(key: &Key) -> Option<String> {
    let value = match key.path.split_once("[].") {
        None => value_at(&Table::try_from(Config::default()).unwrap(), key.path).cloned(),
        Some((list, name)) => {
            let entry = match list {
                "listeners.tls" => Table::try_from(ListenerTls::default()),
                "auth.bootstrap_users" => Table::try_from(BootstrapUser::default()),
                "auth.bootstrap_policies" => Table::try_from(BootstrapPolicy::default()),
                other => panic!("{other} has no entry here"),
            };
            entry.unwrap().get(name).cloned()
        }
    };
    // In an entry of a list, and for a file, the empty text is no default but what is missing.
    value.map(|value| value.to_string()).filter(|text| !(text == "\"\"" && key.path.contains("[]")))
}

fn render_example() -> String {
    let mut text = String::from(
        "# Every key of Rollcall's configuration with its default. Generated from the code; a test holds both together.\n\
         # Lines that begin with a # and no space are keys without a default, or entries of a list.\n\
         # Every key can also be set by an environment variable, which wins: ROLLCALL_<SECTION>__<KEY>,\n\
         # such as ROLLCALL_CLUSTER__LEASE_MS. In [limits], 0 is off.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (parent, name) = key.path.rsplit_once('.').unwrap();
        let optional = parent.contains("[]") || parent.matches('.').count() > 0;
        let mark = if optional { "#" } else { "" };
        if key.kind == Kind::Tables {
            continue;
        }
        if parent != section {
            section = parent;
            let header = match parent.strip_suffix("[]") {
                Some(list) => {
                    let list_key = KEYS.iter().find(|key| key.path == list).unwrap();
                    writeln!(text, "\n# {}", list_key.meaning).unwrap();
                    format!("[[{list}]]")
                }
                None => {
                    text.push('\n');
                    format!("[{parent}]")
                }
            };
            writeln!(text, "{mark}{header}").unwrap();
        }
        writeln!(text, "# {}", key.meaning).unwrap();
        match default_of(key) {
            Some(default) => writeln!(text, "{mark}{name} = {default}").unwrap(),
            None if key.kind == Kind::ChoiceList(&[]) => writeln!(text, "#{name} = []").unwrap(),
            None => writeln!(text, "#{name} = \"\"").unwrap(),
        }
    }
    text
}

fn render_page() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS {
        let top = key.path.split('.').next().unwrap();
        if top != section {
            section = top;
            write!(text, "\n### `[{top}]`\n\n| key | default | meaning |\n|---|---|---|\n").unwrap();
        }
        let default = match default_of(key) {
            Some(default) => format!("`{default}`"),
            None => "–".to_owned(),
        };
        let values = match key.kind {
            Kind::Choice(words) => format!(" One of {}.", list(words)),
            Kind::ChoiceList(words) => format!(" Any of {}.", list(words)),
            _ => String::new(),
        };
        writeln!(text, "| `{}` | {default} | {}{values} |", key.path, key.meaning.replace('|', "\\|")).unwrap();
    }
    text.push_str("\n### When a limit is reached\n\n| limit | metric that grows |\n|---|---|\n");
    for limit in rollcall_quota::LIMIT_KEYS.iter().filter(|limit| !limit.metric.is_empty()) {
        writeln!(text, "| `limits.{}` | `{}` |", limit.key, limit.metric).unwrap();
    }
    text.push('\n');
    text
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn compare_or_write(path: &str, wanted: &str) {
    if std::env::var("ROLLCALL_TEST_REWRITE").is_ok_and(|value| value == "1") {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap();
    assert!(found == wanted, "{path} is out of date; run the tests once with ROLLCALL_TEST_REWRITE=1");
}

#[test]
fn every_field_is_a_key_and_every_key_is_a_field() {
    let mut fields = BTreeSet::new();
    leaves("", &Value::try_from(everything_set()).unwrap(), &mut fields);
    assert_eq!(fields, known_paths());
    assert_eq!(KEYS.len(), known_paths().len(), "a key is there twice");
}

#[test]
fn every_key_can_be_set_by_its_variable_and_is_then_shown_with_it() {
    for key in KEYS.iter().filter(|key| key.kind != Kind::Tables) {
        let variable = key.variable().replace("__N__", "__0__");
        // Values that differ from every default; some contradict other keys, which is another test's business.
        let value = match key.kind {
            Kind::Text | Kind::Secret => "abc".to_owned(),
            Kind::Path => "/nowhere".to_owned(),
            Kind::Choice(words) => words.last().unwrap().to_string(),
            Kind::ChoiceList(words) => words.first().unwrap().to_string(),
            Kind::Integer(_) | Kind::IntegerList(_) => "2".to_owned(),
            Kind::Boolean => "true".to_owned(),
            Kind::Address | Kind::Listener => "127.0.0.1:9".to_owned(),
            Kind::TextList => "a:1,b:2".to_owned(),
            Kind::Tables => unreachable!(),
        };
        match load("", &[(&variable, &value)]) {
            Ok(loaded) => {
                let place = key.path.replace("[]", "[0]");
                assert_eq!(loaded.origins[&place].to_string(), variable);
                assert!(loaded.entries().iter().any(|entry| entry.path == place), "{place}");
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("no key") && !text.contains("unknown field"), "{variable}: {text}");
                assert!(!text.contains("invalid type"), "{variable}: {text}");
            }
        }
    }
}

#[test]
fn the_example_file_lists_every_key_with_its_default() {
    compare_or_write(EXAMPLE, &render_example());
    let example = fs::read_to_string(EXAMPLE).unwrap();

    // As it stands it changes nothing.
    let loaded = load(&example, &[]).unwrap();
    assert_eq!(loaded.config, Config::default());

    // With every line that holds a key, it has all keys and no others.
    let all: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let table: Table = all.parse().unwrap();
    let mut listed = BTreeSet::new();
    leaves("", &Value::Table(table), &mut listed);
    assert_eq!(listed, known_paths());
}

#[test]
fn the_reference_page_has_every_key_with_its_default() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(PAGE_START).expect("the page has lost its start mark");
    let (_, tail) = rest.split_once(PAGE_END).expect("the page has lost its end mark");
    compare_or_write(PAGE, &format!("{head}{PAGE_START}{}{PAGE_END}{tail}", render_page()));
}

#[test]
fn the_examples_on_the_reference_page_are_valid() {
    let page = fs::read_to_string(PAGE).unwrap();
    let examples: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    let scratch = Scratch::new();
    for example in examples {
        let path = scratch.file("example.toml", example);
        let loaded = Config::load(Some(&path), []).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new(), "{example}");
    }
}
