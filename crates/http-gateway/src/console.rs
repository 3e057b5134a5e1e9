//! The console: the files of the web page at the root of the admin listener, as they stand in `src/console/`, compiled in.
//!
//! What belongs here: which path is which file, and the headers that make a browser careful. What does not: any answer
//! about the cluster. The page asks the management API and `/metrics` for those, with the credentials of who looks at it.

use crate::error_response::{Problem, READ_METHODS};
use actix_http::{
    Method, Request, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{fmt::Write, sync::LazyLock};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Shown at the root.
const PAGE: &str = "/console/index.html";

/// Nothing from elsewhere, nothing inline, no frame around it, and no form that leaves it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Bytes of the digest that a tag shows.
const TAG_BYTES: usize = 12;

macro_rules! files {
    ($($name:literal $kind:ident),* $(,)?) => {
        &[$((concat!("/console/", $name), $kind, include_str!(concat!("console/", $name)))),*]
    };
}

/// Path, content type, text. The page itself is at `/`, see [`answer`].
const FILES: &[(&str, &str, &str)] = files![
    "index.html" HTML,
    "icon.svg" SVG,
    "colours.css" CSS,
    "frame.css" CSS,
    "parts.css" CSS,
    "views.css" CSS,
    "theme.js" SCRIPT,
    "main.js" SCRIPT,
    "api.js" SCRIPT,
    "credential.js" SCRIPT,
    "sign_in.js" SCRIPT,
    "router.js" SCRIPT,
    "keys.js" SCRIPT,
    "element.js" SCRIPT,
    "patch.js" SCRIPT,
    "text.js" SCRIPT,
    "notice.js" SCRIPT,
    "polling.js" SCRIPT,
    "event_stream.js" SCRIPT,
    "cluster_state.js" SCRIPT,
    "cluster_view.js" SCRIPT,
    "node_card.js" SCRIPT,
    "rates.js" SCRIPT,
    "plot.js" SCRIPT,
    "presence.js" SCRIPT,
    "look_up_view.js" SCRIPT,
    "history.js" SCRIPT,
    "clients_view.js" SCRIPT,
    "kick.js" SCRIPT,
    "access_view.js" SCRIPT,
    "explain.js" SCRIPT,
    "quota_view.js" SCRIPT,
];

struct Served {
    path: &'static str,
    kind: HeaderValue,
    tag: HeaderValue,
    text: &'static str,
}

static SERVED: LazyLock<Vec<Served>> = LazyLock::new(|| {
    let served = |&(path, kind, text): &(&'static str, &'static str, &'static str)| Served {
        path,
        kind: HeaderValue::from_static(kind),
        tag: tag(text),
        text,
    };
    FILES.iter().map(served).collect()
});

/// The answer to a request for a file of the console; `None` where the path is none of them.
pub(crate) fn answer(request: &Request) -> Option<Response<Bytes>> {
    let path = match request.path() {
        "/" => PAGE,
        // It names its files as seen from the root.
        PAGE => return None,
        path => path,
    };
    let file = SERVED.iter().find(|file| file.path == path)?;
    match *request.method() {
        Method::GET | Method::HEAD => {}
        _ => return Some(Problem::method_not_allowed(READ_METHODS).response()),
    }
    let mut response = match has_it(request.head().headers(), &file.tag) {
        true => Response::with_body(StatusCode::NOT_MODIFIED, Bytes::new()),
        false => Response::with_body(StatusCode::OK, Bytes::from_static(file.text.as_bytes())),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, file.kind.clone());
    headers.insert(ETAG, file.tag.clone());
    for (name, value) in CAREFUL {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    Some(response)
}

const CAREFUL: &[(HeaderName, &str)] = &[
    // Kept, and asked for again each time: after an upgrade no browser shows the page of before.
    (CACHE_CONTROL, "no-cache"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

fn has_it(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = |value: &HeaderValue| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one.as_bytes() == tag)
    };
    headers.get_all(IF_NONE_MATCH).any(known)
}

fn tag(text: &str) -> HeaderValue {
    let mut tag = String::from("\"");
    for byte in Sha256::digest(text.as_bytes()).iter().take(TAG_BYTES) {
        // Writing into a string cannot fail.
        let _written = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    // Hexadecimal digits in quotes are always a header's value; an empty tag would only never match.
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    /// Longest module of the page, in lines.
    const MODULE_LINES_MAX: usize = 300;

    #[test]
    fn each_file_of_the_folder_is_served_and_no_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<String> = names.map(|name| format!("/console/{name}")).collect();
        let served: BTreeSet<String> = FILES.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(there, served);
    }

    #[test]
    fn each_module_imports_what_is_there_and_begins_with_what_it_is_for() {
        for (path, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            assert!(text.starts_with("// "), "{path} does not say what it is for");
            assert!(text.lines().count() <= MODULE_LINES_MAX, "{path} holds more than one thing");
            let imports = text.lines().filter_map(|line| line.split_once(" from \"./"));
            for (_, rest) in imports {
                let wanted = format!("/console/{}", rest.split('"').next().unwrap());
                assert!(FILES.iter().any(|(path, ..)| *path == wanted), "{path} imports {wanted}");
            }
        }
    }

    #[test]
    fn the_page_holds_nothing_that_its_policy_refuses() {
        for (path, kind, text) in FILES {
            for elsewhere in ["https://", "src=\"//", "url(", "@import", "eval(", "innerHTML", "insertAdjacentHTML"] {
                assert!(!text.contains(elsewhere), "{path} has {elsewhere}");
            }
            if *kind == HTML {
                for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
                    assert!(!text.contains(inline), "{path} has {inline}");
                }
            }
        }
    }
}
