//! The status query: each row of its table, on every node.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::{Response, basic, exchange, status_target};
use rollcall_test_cluster::mqtt::{Connect, Version};

const ALL: [usize; 3] = [0, 1, 2];

fn assert_problem(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    assert!(response.text().contains(&format!("\"code\":\"{code}\"")), "{response:?}");
}

#[test]
fn the_answer_is_exactly_these_bytes_with_these_headers_on_every_node_by_both_methods() {
    let cluster = Cluster::of_three();
    let gone = cluster.connect(0, "VIN0000002");
    gone.disconnect().unwrap();
    let _online = cluster.connect(1, "VIN0000001");
    let authorization = basic(USER.0, USER.1);
    assert_eq!(authorization, "Basic dXNlcjA6c2VjcmV0MA==", "the line of the documentation");
    for place in ALL {
        for method in ["GET", "POST"] {
            let ask = |id: &str| {
                let headers = [("Authorization", authorization.as_str())];
                cluster.request(place, method, &format!("/client-id/{id}/status"), &headers).unwrap()
            };
            let online = ask("VIN0000001");
            assert_eq!((online.status, online.body.as_slice()), (200, &br#"{"online":true}"#[..]), "{online:?}");
            assert_eq!(online.header("content-type"), Some("application/json"));
            assert_eq!(online.header("cache-control"), Some("no-store"));
            assert_eq!(online.header("rollcall-node"), Some("n2"));
            let number =
                |name: &str| online.header(name).unwrap_or_else(|| panic!("{name}: {online:?}")).parse::<u64>();
            assert!(number("rollcall-partition").unwrap() < 3);
            assert!(number("rollcall-index").unwrap() > 0);
            assert!(number("rollcall-epoch").unwrap() > 0);

            let offline = ask("VIN0000002");
            assert_eq!((offline.status, offline.body.as_slice()), (200, &br#"{"online":false}"#[..]), "{offline:?}");
            assert!(offline.header("rollcall-epoch").is_some(), "of the last claim on record");
            assert_eq!(offline.header("rollcall-node"), None, "nobody owns it");

            let unknown = ask("VIN0000003");
            assert_eq!((unknown.status, unknown.body.as_slice()), (200, &br#"{"online":false}"#[..]), "{unknown:?}");
            assert_eq!(unknown.header("rollcall-epoch"), None, "no claim is on record");
            assert!(unknown.header("rollcall-index").is_some());
        }
    }
}

#[test]
fn epochs_and_positions_only_grow_from_connection_to_connection() {
    let cluster = Cluster::of_three();
    let (mut epoch, mut index) = (0, 0);
    for round in 0..12 {
        let connection = cluster.connect(round % 3, "returning");
        let answer = cluster.ask((round + 1) % 3, "returning").unwrap();
        assert!(answer.epoch.unwrap() > epoch, "{answer:?} after epoch {epoch}");
        assert!(answer.index > index, "{answer:?} after index {index}");
        (epoch, index) = (answer.epoch.unwrap(), answer.index);
        connection.disconnect().unwrap();
    }
}

#[test]
fn no_or_wrong_credentials_get_401_with_the_challenge() {
    let cluster = Cluster::of_three();
    let target = status_target("VIN0000001");
    let wrong = [
        None,
        Some(basic(USER.0, "wrong")),
        Some(basic("stranger", "secret0")),
        Some("Basic !!!".to_owned()),
        Some("Bearer dXNlcjA6c2VjcmV0MA==".to_owned()),
    ];
    for place in ALL {
        for authorization in &wrong {
            let headers: Vec<(&str, &str)> =
                authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
            let response = cluster.request(place, "GET", &target, &headers).unwrap();
            assert_eq!(response.status, 401, "{authorization:?}: {response:?}");
            assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"rollcall\", charset=\"UTF-8\""));
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
        }
    }
    // The same user again: a wrong password must not have spoilt the right one.
    assert_eq!(cluster.status(0, "VIN0000001").unwrap().status, 200);
}

#[test]
fn an_account_without_connect_permission_gets_403() {
    let cluster = Cluster::of_three();
    let authorization = Cluster::forbidden_authorization();
    for place in ALL {
        for target in [status_target("VIN0000001"), format!("{}?client_id=probe", status_target("VIN0000001"))] {
            let response = cluster.request(place, "GET", &target, &[("Authorization", &authorization)]).unwrap();
            assert_eq!(response.status, 403, "{response:?}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[test]
fn other_methods_get_405_with_allow_and_head_and_options_are_answered() {
    let cluster = Cluster::of_three();
    let _online = cluster.connect(0, "VIN0000001");
    let authorization = basic(USER.0, USER.1);
    let headers = [("Authorization", authorization.as_str())];
    let target = status_target("VIN0000001");
    for place in ALL {
        for method in ["PUT", "DELETE", "PATCH"] {
            let response = cluster.request(place, method, &target, &headers).unwrap();
            assert_eq!(response.status, 405, "{method}: {response:?}");
            assert_eq!(response.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
        }
        let options = cluster.request(place, "OPTIONS", &target, &headers).unwrap();
        assert!([200, 204].contains(&options.status), "{options:?}");
        assert_eq!(options.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
        let head = cluster.request(place, "HEAD", &target, &headers).unwrap();
        assert_eq!((head.status, head.body.as_slice()), (200, &b""[..]), "{head:?}");
        assert_eq!(head.header("content-length"), Some("15"));
    }
}

#[test]
fn http_1_0_is_answered_too() {
    let cluster = Cluster::of_three();
    let _online = cluster.connect_as(0, &Connect::new(Version::V311, "VIN0000001"));
    for place in ALL {
        let request =
            format!("GET {} HTTP/1.0\r\nAuthorization: {}\r\n\r\n", status_target("VIN0000001"), basic(USER.0, USER.1));
        let response = exchange(cluster.nodes[place].addresses.http, request.as_bytes(), true).unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, r#"{"online":true}"#), "{response:?}");
    }
}

#[test]
fn what_is_no_client_id_gets_400() {
    let cluster = Cluster::of_three();
    let authorization = basic(USER.0, USER.1);
    let headers = [("Authorization", authorization.as_str())];
    for place in ALL {
        for bad in ["", "%zz", "a%", "a%4", "%FF", "%C3%28", "a%00b", "%ED%A0%80"] {
            let response = cluster.request(place, "GET", &format!("/client-id/{bad}/status"), &headers).unwrap();
            assert_problem(&response, 400, "bad_client_id");
        }
        // Beyond the longest request target.
        let response =
            cluster.request(place, "GET", &format!("/client-id/{}/status", "a".repeat(66_000)), &headers).unwrap();
        assert!((400..500).contains(&response.status), "{}", response.status);
    }
}

#[test]
fn health_and_readiness_are_told_on_the_admin_listener() {
    let cluster = Cluster::of_three();
    for place in ALL {
        let admin = cluster.nodes[place].addresses.admin;
        for path in ["/healthz", "/readyz"] {
            let response = rollcall_test_cluster::http::request(admin, "GET", path, &[]).unwrap();
            assert_eq!(response.status, 200, "{path}: {response:?}");
        }
        let connections = rollcall_test_cluster::metrics::samples(admin, "rollcall_connections").unwrap();
        assert_eq!(connections.len(), 1, "{connections:?}");
    }
}
