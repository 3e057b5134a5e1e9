//! The console's files on the admin listener: types, careful headers, tags; and nothing of it on the data plane.

use crate::fakes::{GOOD, start};

#[test]
fn the_page_is_at_the_root_with_headers_that_make_a_browser_careful() {
    let running = start();
    let page = running.connect_admin().ask("GET", "/", "");
    assert_eq!(page.status(), 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(page.body.starts_with("<!doctype html>"));
}

#[test]
fn every_file_that_the_page_names_is_there_with_its_type() {
    let running = start();
    let mut connection = running.connect_admin();
    let page = connection.ask("GET", "/", "").body;
    let named: Vec<&str> = page.split('"').filter(|text| text.starts_with("console/")).collect();
    assert!(named.len() >= 6, "{named:?}");
    for name in named {
        let file = connection.ask("GET", &format!("/{name}"), "");
        let wanted = match name.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!((file.status(), file.header("content-type")), (200, Some(wanted)), "{name}");
        assert!(!file.body.is_empty(), "{name}");
    }
}

#[test]
fn who_has_a_file_already_is_told_so_by_its_tag() {
    let running = start();
    let mut connection = running.connect_admin();
    let first = connection.ask("GET", "/console/main.js", "");
    let tag = first.header("etag").unwrap().to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = connection.ask("GET", "/console/main.js", &format!("If-None-Match: {known}\r\n"));
        assert_eq!((again.status(), again.header("etag")), (304, Some(tag.as_str())), "{known}");
        assert_eq!(again.body, "");
    }
    let other = connection.ask("GET", "/console/main.js", "If-None-Match: \"other\"\r\n");
    assert_eq!((other.status(), other.body), (200, first.body));
}

#[test]
fn it_is_read_and_nothing_else() {
    let running = start();
    let mut connection = running.connect_admin();
    let whole = connection.ask("GET", "/", "").body.len().to_string();
    let head = connection.ask("HEAD", "/", "");
    assert_eq!((head.status(), head.header("content-length")), (200, Some(whole.as_str())));
    let refused = connection.ask("POST", "/console/main.js", "");
    assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD")));
    let mut data_plane = running.connect();
    for path in ["/", "/console/main.js"] {
        let answer = data_plane.ask("GET", path, GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (404, "not_found"), "{path}");
    }
}
