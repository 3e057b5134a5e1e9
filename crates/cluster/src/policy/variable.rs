//! Variables of patterns, `${…}`: what a request fills in.

use super::CertificateFields;

/// The longest offset in a substring; a pattern that wants more matches nothing anyway.
const OFFSET_MAX: u32 = 65_535;

/// A field of the request, or a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Variable {
    field: Field,
    /// In characters.
    from: u32,
    /// Exclusive, in characters; none means to the end.
    to: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    ClientId,
    Username,
    CommonName,
    Country,
    Organization,
    OrganizationalUnit,
    State,
    SerialNumber,
}

/// The values for one request.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) client_id: &'a str,
    pub(super) username: &'a str,
    pub(super) certificate: Option<&'a CertificateFields>,
}

impl Variable {
    /// By what stands between the braces: `ClientId`, `Username.substring(4)`, `Certificate.Subject.CommonName`, ….
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, from, to) = match text.split_once(".substring(") {
            None => (text, 0, None),
            Some((name, arguments)) => {
                let arguments = arguments.strip_suffix(')')?;
                let (from, to) = match arguments.split_once(',') {
                    None => (arguments, None),
                    Some((from, to)) => (from, Some(offset(to.trim())?)),
                };
                (name, offset(from.trim())?, to)
            }
        };
        if to.is_some_and(|to| to < from) {
            return None;
        }
        let field = match name {
            "ClientId" | "clientId" | "clientid" => Field::ClientId,
            "Username" | "username" => Field::Username,
            _ => match name.strip_prefix("Certificate.Subject.")? {
                "CommonName" => Field::CommonName,
                "Country" => Field::Country,
                "Organization" => Field::Organization,
                "OrganizationalUnit" => Field::OrganizationalUnit,
                "State" => Field::State,
                "SerialNumber" => Field::SerialNumber,
                _ => return None,
            },
        };
        Some(Variable { field, from, to })
    }

    pub(super) fn is_of_client_id(self) -> bool {
        self.field == Field::ClientId
    }
}

fn offset(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|number| is_number && *number <= OFFSET_MAX)
}

impl<'a> Values<'a> {
    /// `None` where the request has no such value, or it is shorter than the part that is asked for: then the pattern
    /// matches nothing.
    pub(super) fn of(&self, variable: Variable) -> Option<&'a str> {
        let of_certificate = |field: fn(&CertificateFields) -> Option<&str>| self.certificate.and_then(field);
        let value = match variable.field {
            Field::ClientId => Some(self.client_id),
            Field::Username => Some(self.username),
            Field::CommonName => of_certificate(|fields| fields.common_name.as_deref()),
            Field::Country => of_certificate(|fields| fields.country.as_deref()),
            Field::Organization => of_certificate(|fields| fields.organization.as_deref()),
            Field::OrganizationalUnit => of_certificate(|fields| fields.organizational_unit.as_deref()),
            Field::State => of_certificate(|fields| fields.state.as_deref()),
            Field::SerialNumber => of_certificate(|fields| fields.serial_number.as_deref()),
        }?;
        let from = byte_offset(value, variable.from)?;
        let to = match variable.to {
            None => value.len(),
            Some(to) => byte_offset(value, to)?,
        };
        value.get(from..to)
    }
}

/// Where the character of that number begins; its end counts.
fn byte_offset(text: &str, characters: u32) -> Option<usize> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(characters as usize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value<'a>(text: &str, values: &Values<'a>) -> Option<&'a str> {
        values.of(Variable::parse(text).unwrap())
    }

    #[test]
    fn a_variable_is_a_field_or_a_part_of_it() {
        let certificate = CertificateFields { common_name: Some("VIN7".into()), ..CertificateFields::default() };
        let values = Values { client_id: "büs-42", username: "", certificate: Some(&certificate) };
        for (text, expected) in [
            ("ClientId", Some("büs-42")),
            ("clientid", Some("büs-42")),
            ("clientId.substring(4)", Some("42")),
            ("clientId.substring(0,3)", Some("büs")),
            ("ClientId.substring(1, 2)", Some("ü")),
            ("ClientId.substring(6)", Some("")),
            ("ClientId.substring(7)", None),
            ("ClientId.substring(4,7)", None),
            ("Username", Some("")),
            ("Certificate.Subject.CommonName", Some("VIN7")),
            ("Certificate.Subject.CommonName.substring(3)", Some("7")),
            ("Certificate.Subject.Country", None),
        ] {
            assert_eq!(value(text, &values), expected, "{text}");
        }
        let without = Values { certificate: None, ..values };
        assert_eq!(value("Certificate.Subject.CommonName", &without), None);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in [
            "",
            "clientID",
            "ClientId.substring()",
            "ClientId.substring(-1)",
            "ClientId.substring(+1)",
            "ClientId.substring(3,2)",
            "ClientId.substring(1",
            "ClientId.substring(99999999999)",
            "ClientId.upper()",
            "Certificate.Subject.commonName",
            "Certificate.CommonName",
        ] {
            assert_eq!(Variable::parse(text), None, "{text}");
        }
    }
}
