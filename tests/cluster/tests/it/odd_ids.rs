//! Client ids that are hard to write into a path: each must be found under its own name, and under no other.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::basic;
use rollcall_test_cluster::mqtt::{Connect, Version};

const ALL: [usize; 3] = [0, 1, 2];

#[test]
fn any_client_id_round_trips_through_the_path() {
    let cluster = Cluster::of_three();
    let odd = [
        "a/b",
        "a//b",
        "/",
        "100%",
        "a%2Fb",
        "a+b",
        "a b",
        " ",
        "😀",
        "naïve",
        "..",
        ".",
        "a/../b",
        "?",
        "a?b=c",
        "#",
        "a#b",
        "a;b",
        "a&b=c",
        "\"quoted\"",
        "back\\slash",
        "tab\there",
        "ключ",
        "~!@$^*()_-=[]{}|:'<>,",
    ];
    let _open: Vec<_> = odd.iter().map(|id| cluster.connect_as(0, &Connect::new(Version::V5, id))).collect();
    for place in ALL {
        for id in odd {
            let answer = cluster.ask(place, id).unwrap();
            assert!(answer.online, "{id:?} at node {place}: {answer:?}");
        }
        // Close relatives that nobody holds.
        for id in ["ab", "100", "100%25", "a%252Fb", "a%20b", "%F0%9F%98%80", "b", "", "A/b"] {
            if id.is_empty() {
                continue;
            }
            assert!(!cluster.ask(place, id).unwrap().online, "{id:?} at node {place}");
        }
    }
}

#[test]
fn a_path_is_decoded_exactly_once_and_a_plus_is_a_plus() {
    let cluster = Cluster::of_three();
    let _open: Vec<_> = ["a+b", "a%2Fb", "a@b:c"].iter().map(|id| cluster.connect(1, id)).collect();
    let authorization = basic(USER.0, USER.1);
    let headers = [("Authorization", authorization.as_str())];
    for place in ALL {
        for (raw, online) in [
            ("a+b", true),
            ("a%2Bb", true),
            ("a%2bb", true),
            ("a%20b", false),
            ("a%252Fb", true),
            ("a%2Fb", false),
            ("a@b:c", true),
            ("%61%40b%3Ac", true),
        ] {
            let response = cluster.request(place, "GET", &format!("/client-id/{raw}/status"), &headers).unwrap();
            assert_eq!(response.text(), format!("{{\"online\":{online}}}"), "{raw} at node {place}: {response:?}");
        }
    }
}

#[test]
fn an_id_of_60_000_bytes_is_answered() {
    let cluster = Cluster::of_three();
    let id = "x".repeat(60_000);
    let _open = cluster.connect(2, &id);
    for place in ALL {
        assert!(cluster.ask(place, &id).unwrap().online);
        assert!(!cluster.ask(place, &id[1..]).unwrap().online);
    }
}
