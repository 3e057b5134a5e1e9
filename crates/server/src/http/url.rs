//! The address of a plain HTTP server.

use crate::failure::Failure;
use std::net::SocketAddr;

/// `http://host[:port][/base]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainUrl {
    /// Host and port as they go into the Host header.
    pub(crate) authority: String,
    /// Host name, or address without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// What goes before every path; no slash at its end.
    pub(crate) base: String,
}

impl PlainUrl {
    /// Parses a URL; only `http` is understood.
    pub(crate) fn parse(url: &str) -> Result<PlainUrl, Failure> {
        let wrong = |why: &str| Failure::new(format!("{url:?} is not a URL to measure: {why}"));
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => return Err(wrong(&format!("only http is spoken here, not {scheme}"))),
            None => return Err(wrong("it must begin with http://")),
        };
        let (authority, base) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@') || base.contains(['?', '#']) {
            return Err(wrong("it must be host, port and path only"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong("its port is not a port"))?,
            None => 80,
        };
        if host.is_empty() || authority.contains(char::is_whitespace) {
            return Err(wrong("it names no host"));
        }
        Ok(PlainUrl {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// The first address of the host.
    pub(crate) async fn resolve(&self) -> Result<SocketAddr, Failure> {
        let named = format!("{}:{}", self.host, self.port);
        let mut found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| Failure::io(format_args!("cannot resolve {named}"), &error))?;
        found.next().ok_or_else(|| Failure::new(format!("{named} has no address")))
    }
}

#[cfg(test)]
mod tests {
    use super::PlainUrl;

    #[test]
    fn host_port_and_base_are_taken_apart() {
        for (url, host, port, base) in [
            ("http://127.0.0.1:8181", "127.0.0.1", 8181, ""),
            ("http://n1.example/", "n1.example", 80, ""),
            ("http://[::1]:9/a/b/", "::1", 9, "/a/b"),
        ] {
            let parsed = PlainUrl::parse(url).unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port, parsed.base.as_str()), (host, port, base), "{url}");
        }
    }

    #[test]
    fn what_is_not_plain_http_is_refused_with_a_sentence() {
        for (url, why) in [
            ("https://a", "only http is spoken here"),
            ("a:8080", "must begin with http://"),
            ("http://", "names no host"),
            ("http://a:port", "not a port"),
            ("http://u:p@a", "host, port and path only"),
            ("http://[::1", "not closed"),
        ] {
            let failure = PlainUrl::parse(url).unwrap_err();
            assert!(failure.sentences()[0].contains(why), "{url}: {failure:?}");
        }
    }
}
