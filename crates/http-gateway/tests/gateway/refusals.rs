//! Every refusal with its status, code and headers; none of them an answer.

use crate::fakes::{Call, GOOD, basic, online, start};
use rollcall_contracts::{AuthError, ConnectPermission, QueryRefusal, StatusError};

const PATH: &str = "/client-id/VIN0000001/status";

// B-159, B-161
#[test]
fn nothing_is_told_without_the_right_credentials() {
    let running = start();
    *running.world.otherwise.lock().unwrap() = Ok(online());
    let mut connection = running.connect();
    let wrong = [
        String::new(),
        basic("user0:secret1"),
        basic("user1:secret0"),
        basic("user0"),
        basic(":"),
        "Authorization: Basic\r\n".into(),
        "Authorization: Basic !!!\r\n".into(),
        "Authorization: Bearer dXNlcjA6c2VjcmV0MA==\r\n".into(),
        "Authorization: \r\n".into(),
    ];
    for headers in wrong {
        for path in [PATH, "/client-id//status"] {
            let answer = connection.ask("GET", path, &headers);
            assert_eq!(answer.status(), 401, "{headers:?}");
            assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="rollcall", charset="UTF-8""#));
            assert_eq!(answer.problem_code(), "unauthorized");
        }
    }
    assert!(running.world.calls().iter().all(|call| matches!(call, Call::CachedBasic | Call::Authenticate)));
}

#[test]
fn an_account_that_may_not_connect_is_refused_and_not_charged() {
    let running = start();
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (403, "not_authorized"));
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Status(_))));
}

#[test]
fn over_quota_there_is_no_look_up() {
    let running = start();
    let mut connection = running.connect();
    for (wait, header) in [(0, "1"), (1, "1"), (17, "17")] {
        *running.world.refusal.lock().unwrap() = Some(QueryRefusal::OverQuota { retry_after_s: wait });
        let answer = connection.ask("GET", PATH, GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (429, "over_quota"));
        assert_eq!(answer.header("retry-after"), Some(header));
    }
    assert_eq!(running.world.looked_up(), [""; 0]);
    *running.world.refusal.lock().unwrap() = None;
    assert_eq!(connection.ask("GET", PATH, GOOD).status(), 200);
}

#[test]
fn too_many_wrong_passwords_are_another_429() {
    let running = start();
    *running.world.auth_error.lock().unwrap() = Some(AuthError::TooManyFailures { retry_after_s: 3 });
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (429, "too_many_auth_failures"));
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert_eq!(answer.header("www-authenticate"), None);
}

// B-105, B-106
#[test]
fn what_cannot_be_known_now_is_503_and_never_false() {
    let running = start();
    let mut connection = running.connect();
    let mut check = |code: &str| {
        for method in ["GET", "POST"] {
            let answer = connection.ask(method, PATH, GOOD);
            assert_eq!((answer.status(), answer.problem_code().as_str()), (503, code));
            assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
            assert!(!answer.body.contains("online"));
        }
    };
    for (error, code) in
        [(StatusError::NoQuorum, "no_quorum"), (StatusError::Busy, "busy"), (StatusError::NotReady, "not_ready")]
    {
        *running.world.otherwise.lock().unwrap() = Err(error);
        check(code);
    }
    *running.world.refusal.lock().unwrap() = Some(QueryRefusal::NoGrant);
    check("no_quota_grant");
}

#[test]
fn accounts_that_cannot_be_read_are_503() {
    let running = start();
    *running.world.auth_error.lock().unwrap() = Some(AuthError::Unavailable);
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (503, "accounts_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}
