//! What a node tells of itself at `/metrics`.

use crate::http;
use std::net::SocketAddr;

/// One sample: labels as they stand between the braces, and the value.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Labels, such as `group="cluster"`.
    pub labels: String,
    /// The value.
    pub value: f64,
}

/// All samples of a name at a node's admin listener.
///
/// # Errors
/// A sentence, when there is no answer or another status than 200.
pub fn samples(admin: SocketAddr, name: &str) -> Result<Vec<Sample>, String> {
    let response = http::request(admin, "GET", "/metrics", &[])?;
    if response.status != 200 {
        return Err(format!("/metrics answered {}", response.status));
    }
    Ok(parse(&response.text(), name))
}

fn parse(text: &str, name: &str) -> Vec<Sample> {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None if rest.starts_with(' ') => ("", rest),
                None => return None,
            };
            Some(Sample { labels: labels.to_owned(), value: value.trim().parse().ok()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let text = "# HELP a x\na{group=\"cluster\"} 1\na_total 7\na 2.5\n";
        assert_eq!(
            parse(text, "a"),
            [
                Sample { labels: "group=\"cluster\"".to_owned(), value: 1.0 },
                Sample { labels: String::new(), value: 2.5 }
            ]
        );
    }
}
