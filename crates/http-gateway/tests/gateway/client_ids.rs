//! The raw path, decoded exactly once.

use crate::fakes::{GOOD, start, start_with};
use rollcall_http_gateway::GatewayConfig;

/// Every byte as an escape, so that nothing on the way can take it for anything else.
fn escaped(id: &str, lower_case: bool) -> String {
    id.bytes().map(|byte| if lower_case { format!("%{byte:02x}") } else { format!("%{byte:02X}") }).collect()
}

/// As clients encode: unreserved characters stay (RFC 3986, 2.3).
fn encoded(id: &str) -> String {
    let mut text = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[test]
fn any_client_id_round_trips() {
    let running = start();
    let mut connection = running.connect();
    let long = "x".repeat(60_000);
    let ids = [
        "VIN0000001",
        "/",
        "//",
        "%",
        "%25",
        "%2F%2F",
        "+",
        "a+b",
        " ",
        "  ",
        "?",
        "#",
        "&=;",
        "😀",
        "é",
        "e\u{301}",
        ".",
        "..",
        "../../etc",
        "a/../b",
        "a//b",
        "\\",
        "\"",
        "{}|^`<>",
        "\u{1}",
        "\u{7f}",
        "\u{feff}",
        "status",
        "/status",
        "client-id",
        &long,
    ];
    for id in ids {
        let mut forms = vec![encoded(id)];
        if id.len() < 20_000 {
            forms.extend([escaped(id, false), escaped(id, true)]);
        }
        for form in forms {
            let answer = connection.ask("GET", &format!("/client-id/{form}/status"), GOOD);
            assert_eq!(answer.status(), 200, "{id:?} as {form:.80}");
            assert_eq!(running.world.looked_up(), [id], "as {form:.80}");
        }
    }
}

#[test]
fn characters_that_need_no_escape_are_taken_as_they_are() {
    let running = start();
    let mut connection = running.connect();
    for (raw, id) in [
        ("..", ".."),
        (".", "."),
        ("a+b", "a+b"),
        ("a%2F%2Fb", "a//b"),
        ("%252F", "%2F"),
        ("a%2e%2E", "a.."),
        ("a;v=1", "a;v=1"),
        ("a:b@c!$&'()*,=", "a:b@c!$&'()*,="),
        ("%F0%9f%98%80", "😀"),
    ] {
        assert_eq!(connection.ask("GET", &format!("/client-id/{raw}/status"), GOOD).status(), 200, "{raw}");
        assert_eq!(running.world.looked_up(), [id]);
    }
}

#[test]
fn what_is_no_client_id_is_refused_and_costs_nothing() {
    let running = start();
    let mut connection = running.connect();
    let segments = [
        "",
        "%",
        "%4",
        "a%",
        "a%2",
        "%zz",
        "%+1",
        "%0x",
        "%%41",
        "%ff",
        "%C3",
        "%C3%28",
        "%ED%A0%80",
        "%F4%90%80%80",
        "%C0%AF",
        "%00",
        "a%00b",
    ];
    for segment in segments {
        let answer = connection.ask("GET", &format!("/client-id/{segment}/status"), GOOD);
        assert_eq!(answer.status(), 400, "{segment}");
        assert_eq!(answer.problem_code(), "bad_client_id");
    }
    let calls = running.world.calls();
    assert!(!calls.iter().any(|call| matches!(call, crate::fakes::Call::Charge(_) | crate::fakes::Call::Status(_))));
}

#[test]
fn an_id_beyond_the_limit_is_refused() {
    let running = start_with(GatewayConfig { client_id_bytes_max: 4, ..GatewayConfig::default() });
    let mut connection = running.connect();
    assert_eq!(connection.ask("GET", "/client-id/%F0%9F%98%80/status", GOOD).status(), 200);
    let answer = connection.ask("GET", "/client-id/abcde/status", GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (400, "bad_client_id"));
}

#[test]
fn the_target_may_have_65534_bytes_and_no_more() {
    let running = start();
    let around = "/client-id//status".len();
    let longest = "y".repeat(65_534 - around);
    let answer = running.connect().ask("GET", &format!("/client-id/{longest}/status"), GOOD);
    assert_eq!(answer.status(), 200);
    assert_eq!(running.world.looked_up(), [longest.as_str()]);
    for more in [1, 10_000, 200_000] {
        let id = "y".repeat(65_534 - around + more);
        let mut connection = running.connect();
        // The answer may come before all of it is taken.
        let request = format!("GET /client-id/{id}/status HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n");
        connection.send(&request[..request.len().min(140_000)]);
        let status = connection.answer().status();
        assert!((400..500).contains(&status), "{more} more: {status}");
        assert_eq!(running.world.looked_up(), [""; 0]);
    }
}
