//! `GET /clients`: pages with filters and cursors.

use crate::{
    fakes::{Call, GOOD, Running, start},
    presence::known,
};
use rollcall_contracts::{ClientsPage, ClientsQuestion, ConnectPermission, QueryRefusal, StatusError};
use rollcall_presence::PagePlace;
use rollcall_types::{ClientId, ClusterTime, NodeName};

fn page(running: &Running, ids: &[&str], next: Option<&str>) {
    let next = next.map(|id| ClientId::new(id).unwrap());
    *running.world.page.lock().unwrap() = ClientsPage { clients: ids.iter().map(|id| known(id)).collect(), next };
}

fn asked(running: &Running) -> Vec<ClientsQuestion> {
    let calls = running.world.calls().into_iter().filter_map(|call| match call {
        Call::Clients(question) => Some(question),
        _ => None,
    });
    calls.collect()
}

fn parsed(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap()
}

// B-134, B-137, B-138
#[test]
fn a_page_goes_on_where_the_one_before_ended_and_the_last_has_no_cursor() {
    let running = start();
    let mut connection = running.connect();
    page(&running, &["a", "b"], Some("bb"));
    let first = parsed(&connection.ask("GET", "/clients?limit=2", GOOD).body);
    let client = serde_json::json!({
        "client_id": "a", "online": true, "epoch": 42, "node": "n1", "since": 1_764_000_000_123_u64,
        "last_disconnect": null, "username": "ann", "protocol_version": 5, "keep_alive": 60,
    });
    assert_eq!(first["clients"][0], client);
    assert_eq!(first["clients"][1]["client_id"], "b");
    let calls = running.world.calls();
    assert!(calls.contains(&Call::Charge(1)) && calls.contains(&Call::MayConnect(None)), "{calls:?}");
    page(&running, &["c"], None);
    let cursor = first["cursor"].as_str().unwrap();
    let last = parsed(&connection.ask("GET", &format!("/clients?limit=1000&cursor={cursor}"), GOOD).body);
    assert_eq!(last["clients"].as_array().unwrap().len(), 1);
    assert!(last.as_object().unwrap().contains_key("cursor") && last["cursor"].is_null());
    let from = Some(PagePlace { after: "bb".into(), and_all_it_begins: false });
    assert_eq!(asked(&running), [ClientsQuestion { limit: 1000, from, ..ClientsQuestion::default() }]);
}

// B-024
#[test]
fn filters_are_handed_on_and_a_limit_is_always_there() {
    let running = start();
    let mut connection = running.connect();
    assert_eq!(connection.ask("GET", "/clients", GOOD).status(), 200);
    let target = "/clients?prefix=a%2F+b&node=n4&username=&online=false&since=17&client_id=me";
    assert_eq!(connection.ask("GET", target, GOOD).status(), 200);
    let filtered = ClientsQuestion {
        prefix: "a/ b".into(),
        node: Some(NodeName("n4".into())),
        username: Some(String::new()),
        online: Some(false),
        since: Some(ClusterTime(17)),
        from: None,
        limit: 100,
    };
    assert_eq!(asked(&running), [ClientsQuestion { limit: 100, ..ClientsQuestion::default() }, filtered]);
}

#[test]
fn what_is_not_understood_is_refused_and_costs_nothing() {
    let running = start();
    let mut connection = running.connect();
    page(&running, &["a"], Some("a"));
    let cursor = parsed(&connection.ask("GET", "/clients?prefix=a", GOOD).body)["cursor"].as_str().unwrap().to_owned();
    running.world.calls();
    let refused = [
        ("limit=0".to_owned(), "bad_parameter"),
        ("limit=1001".to_owned(), "bad_parameter"),
        ("limit=".to_owned(), "bad_parameter"),
        ("limit=-1".to_owned(), "bad_parameter"),
        ("online=yes".to_owned(), "bad_parameter"),
        ("since=today".to_owned(), "bad_parameter"),
        ("usernam=ann".to_owned(), "bad_parameter"),
        ("prefix=a&prefix=b".to_owned(), "bad_parameter"),
        ("prefix=%ff".to_owned(), "bad_parameter"),
        ("node=n5".to_owned(), "unknown_node"),
        ("cursor=".to_owned(), "bad_cursor"),
        ("cursor=AQAAAAAA".to_owned(), "bad_cursor"),
        (format!("cursor={cursor}"), "bad_cursor"),
        (format!("prefix=b&cursor={cursor}"), "bad_cursor"),
        (format!("prefix=a&cursor={cursor}A"), "bad_cursor"),
    ];
    for (query, code) in refused {
        let answer = connection.ask("GET", &format!("/clients?{query}"), GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (400, code), "{query}");
    }
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Clients(_))));
    assert_eq!(connection.ask("GET", &format!("/clients?prefix=a&cursor={cursor}"), GOOD).status(), 200);
}

#[test]
fn a_list_is_refused_like_a_query() {
    let running = start();
    let mut connection = running.connect();
    assert_eq!(connection.ask("GET", "/clients", "").problem_code(), "unauthorized");
    let answer = connection.ask("POST", "/clients", GOOD);
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    for path in ["/clients/", "/clients/a", "/clients/presence", "/client"] {
        assert_eq!(connection.ask("GET", path, GOOD).status(), 404, "{path}");
    }
    *running.world.otherwise.lock().unwrap() = Err(StatusError::NoQuorum);
    let answer = connection.ask("GET", "/clients", GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (503, "no_quorum"));
    assert!(!answer.body.contains("clients"));
    *running.world.refusal.lock().unwrap() = Some(QueryRefusal::OverQuota { retry_after_s: 2 });
    assert_eq!(connection.ask("GET", "/clients", GOOD).problem_code(), "over_quota");
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    assert_eq!(connection.ask("GET", "/clients", GOOD).status(), 403);
}
