//! Texts with placeholders, `${…}`, that what a client presents fills in.

use rollcall_contracts::Presented;
use std::borrow::Cow;

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// A `${` without its `}`.
    #[error("{0:?} has a ${{ that is not closed")]
    Open(String),
    /// Something unknown between the braces.
    #[error(
        "${{{0}}} is no placeholder; there are ${{ClientId}}, ${{Username}}, ${{Password}}, ${{PeerHost}}, \
         ${{Certificate.CommonName}} and ${{Certificate.SerialNumber}}"
    )]
    Unknown(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    ClientId,
    Username,
    Password,
    PeerHost,
    CommonName,
    SerialNumber,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Field(Field),
}

/// A text with placeholders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads a text. Everything but `${…}` stands for itself.
    ///
    /// # Errors
    /// When a placeholder is not closed, or not known.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or_else(|| TemplateError::Open(text.to_owned()))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(field(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { parts })
    }

    /// Whether it says the user name of CONNECT.
    pub(crate) fn says_username(&self) -> bool {
        self.parts.contains(&Part::Field(Field::Username))
    }

    /// What stands before the first placeholder.
    pub(crate) fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether it has no placeholder.
    pub(crate) fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text for a client; `None` where it presented no such thing, or a password that is not UTF-8.
    pub(crate) fn filled_in(&self, presented: &Presented<'_>) -> Option<String> {
        self.filled_in_with(presented, str::to_owned)
    }

    /// The same, with what is filled in written in another way.
    pub(crate) fn filled_in_with(&self, presented: &Presented<'_>, written: impl Fn(&str) -> String) -> Option<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Field(field) => filled.push_str(&written(&value(*field, presented)?)),
            }
        }
        Some(filled)
    }
}

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "ClientId" | "clientId" | "clientid" => Field::ClientId,
        "Username" | "username" => Field::Username,
        "Password" | "password" => Field::Password,
        "PeerHost" | "peerhost" => Field::PeerHost,
        "Certificate.CommonName" => Field::CommonName,
        "Certificate.SerialNumber" => Field::SerialNumber,
        _ => return None,
    })
}

fn value<'p>(field: Field, presented: &'p Presented<'_>) -> Option<Cow<'p, str>> {
    let certificate = presented.certificate;
    match field {
        Field::ClientId => Some(presented.client_id.into()),
        Field::Username => presented.username.map(Cow::from),
        Field::Password => std::str::from_utf8(presented.password?).ok().map(Cow::from),
        Field::PeerHost => Some(presented.source.to_canonical().to_string().into()),
        Field::CommonName => certificate?.fields.common_name.as_deref().map(Cow::from),
        Field::SerialNumber => Some(certificate?.serial.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn placeholders_are_filled_in_and_everything_else_stands_for_itself() {
        let presented = Presented {
            client_id: "c-1",
            username: Some("ada"),
            password: Some(b"s3cret"),
            source: IpAddr::from([192, 0, 2, 1]),
            certificate: None,
        };
        for (text, expected) in [
            ("", Some("")),
            ("plain $ { }", Some("plain $ { }")),
            ("${ClientId}", Some("c-1")),
            ("a/${clientid}/${Username}-${username}", Some("a/c-1/ada-ada")),
            ("${Password}@${PeerHost}", Some("s3cret@192.0.2.1")),
            ("${Certificate.CommonName}", None),
        ] {
            assert_eq!(Template::parse(text).unwrap().filled_in(&presented).as_deref(), expected, "{text}");
        }
        let nameless = Presented { username: None, password: Some(b"\xff"), ..presented };
        for text in ["${Username}", "x${Password}"] {
            assert_eq!(Template::parse(text).unwrap().filled_in(&nameless), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_refused_with_those_there_are() {
        assert_eq!(Template::parse("a${ClientId"), Err(TemplateError::Open("a${ClientId".to_owned())));
        let error = Template::parse("${user}").unwrap_err();
        assert!(error.to_string().contains("${user} is no placeholder; there are ${ClientId}"), "{error}");
    }
}
