//! The parameters of a publish: what MQTT has in the flags and properties of a PUBLISH.

use crate::{
    client_id_path::{checked, percent_decoded, percent_decoded_bytes},
    parameters::{BadParameter, Parameters, pairs},
};
use rollcall_types::{ClientId, MessageProperties, QoS, check_topic_name};
use std::collections::BTreeMap;

/// Those that are text and stand for one thing. `username` is heard and not believed: the account is that of the
/// credentials.
const KNOWN: &[&str] = &[
    "qos",
    "retained",
    "client_id",
    "username",
    "ResponseTopic",
    "ContentType",
    "PayloadFormatIndicator",
    "MessageExpiryInterval",
];
/// Any bytes.
const CORRELATION_DATA: &str = "CorrelationData";
/// `UserProp.N.Key` and `UserProp.N.Value`.
const USER_PROPERTY: &str = "UserProp.";
/// Most digits of the number of a user property.
const USER_PROPERTY_DIGITS_MAX: usize = 9;

const UNKNOWN: &str = "the parameters are qos, retained, client_id, username, ResponseTopic, CorrelationData, ContentType, \
                       PayloadFormatIndicator, MessageExpiryInterval, UserProp.N.Key and UserProp.N.Value";
const USER_PROPERTY_NAME: &str = "UserProp.N.Key and UserProp.N.Value have a number of at most 9 digits for N";
const USER_PROPERTY_VALUE: &str =
    "UserProp.N.Key and UserProp.N.Value are UTF-8 without U+0000, and each is there once";

/// A publish but for topic and payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PublishParameters {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) properties: MessageProperties,
}

impl PublishParameters {
    pub(crate) fn of(query: Option<&str>, client_id_bytes_max: usize) -> Result<PublishParameters, BadParameter> {
        let is_refused = |name: &str| name != CORRELATION_DATA && !name.starts_with(USER_PROPERTY);
        let given = Parameters::with(query, KNOWN, is_refused).map_err(|error| match error {
            BadParameter::Unknown => BadParameter::Value(UNKNOWN),
            error => error,
        })?;
        let qos = match given.get("qos") {
            Some("0") => QoS::AtMostOnce,
            None | Some("1") => QoS::AtLeastOnce,
            Some("2") => QoS::ExactlyOnce,
            Some(_) => return Err(BadParameter::Value("qos is 0, 1 or 2")),
        };
        let retain = match given.get("retained") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(BadParameter::Value("retained is true or false")),
        };
        let client_id = given.get("client_id").map(|text| checked(text, client_id_bytes_max));
        let client_id = client_id.transpose().map_err(BadParameter::ClientId)?;
        Ok(PublishParameters { qos, retain, client_id, properties: properties(query, &given)? })
    }
}

fn properties(query: Option<&str>, given: &Parameters<'_>) -> Result<MessageProperties, BadParameter> {
    let utf8_payload = match given.get("PayloadFormatIndicator") {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(BadParameter::Value("PayloadFormatIndicator is 0, or 1 for a payload that is UTF-8")),
    };
    let expiry = "MessageExpiryInterval is a whole number of seconds from 0 to 4294967295";
    let expiry_s = given.number("MessageExpiryInterval", 0..=u64::from(u32::MAX), expiry)?;
    let content_type = given.get("ContentType").map(str::to_owned);
    if content_type.as_deref().is_some_and(has_null) {
        return Err(BadParameter::Value("ContentType contains U+0000"));
    }
    let response_topic = given.get("ResponseTopic").map(str::to_owned);
    if response_topic.as_deref().is_some_and(|topic| check_topic_name(topic).is_err()) {
        return Err(BadParameter::Value("ResponseTopic is a topic without wildcards and U+0000"));
    }
    Ok(MessageProperties {
        utf8_payload,
        expiry_s: expiry_s.and_then(|seconds| u32::try_from(seconds).ok()),
        content_type,
        response_topic,
        correlation_data: correlation_data(query)?,
        user: user_properties(query)?,
    })
}

fn correlation_data(query: Option<&str>) -> Result<Option<Vec<u8>>, BadParameter> {
    let bad = BadParameter::Value("CorrelationData has a percent sign without two hexadecimal digits");
    let mut data = None;
    for (_, value) in pairs(query).filter(|(name, _)| *name == CORRELATION_DATA) {
        let value = percent_decoded_bytes(value, true).map_err(|_| bad)?.into_owned();
        if data.replace(value.clone()).is_some_and(|first| first != value) {
            return Err(BadParameter::Repeated(CORRELATION_DATA));
        }
    }
    Ok(data)
}

/// In the order of their numbers, whatever their order in the query.
fn user_properties(query: Option<&str>) -> Result<Vec<(String, String)>, BadParameter> {
    let bad = |sentence| BadParameter::Value(sentence);
    let mut found: BTreeMap<u32, (Option<String>, Option<String>)> = BTreeMap::new();
    for (name, value) in pairs(query) {
        let Some(rest) = name.strip_prefix(USER_PROPERTY) else { continue };
        let (number, part) = rest.split_once('.').ok_or(bad(USER_PROPERTY_NAME))?;
        let is_number = number.len() <= USER_PROPERTY_DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number).ok_or(bad(USER_PROPERTY_NAME))?;
        let (key, text) = found.entry(number).or_default();
        let place = match part {
            "Key" => key,
            "Value" => text,
            _ => return Err(bad(USER_PROPERTY_NAME)),
        };
        let value = percent_decoded(value, true).map_err(|_| bad(USER_PROPERTY_VALUE))?;
        if has_null(&value) || place.replace(value.into_owned()).is_some() {
            return Err(bad(USER_PROPERTY_VALUE));
        }
    }
    let both = |(key, value): (Option<String>, Option<String>)| Some((key?, value?));
    found.into_values().map(|parts| both(parts).ok_or(bad(USER_PROPERTY_VALUE))).collect()
}

pub(crate) fn has_null(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(query: &str) -> Result<PublishParameters, BadParameter> {
        PublishParameters::of(Some(query), 100)
    }

    #[test]
    fn without_parameters_a_message_has_qos_1_and_nothing_else() {
        let bare = PublishParameters {
            qos: QoS::AtLeastOnce,
            retain: false,
            client_id: None,
            properties: MessageProperties::default(),
        };
        assert_eq!(PublishParameters::of(None, 100), Ok(bare.clone()));
        assert_eq!(of("username=x&qos=1&retained=false&PayloadFormatIndicator=0"), Ok(bare));
    }

    #[test]
    fn every_parameter_has_its_place() {
        let query = "qos=2&retained=true&client_id=curl001&username=SampleUser&ResponseTopic=sample%2Fresponse/topic\
                     &CorrelationData=SN%00%ff+1&ContentType=application/json&PayloadFormatIndicator=1\
                     &MessageExpiryInterval=3600&UserProp.2.Value=b&UserProp.10.Key=&UserProp.10.Value=%C3%BC\
                     &UserProp.2.Key=same&UserProp.0.Key=a+b&UserProp.0.Value=";
        let given = of(query).unwrap();
        assert_eq!((given.qos, given.retain), (QoS::ExactlyOnce, true));
        assert_eq!(given.client_id.unwrap().as_str(), "curl001");
        let properties = MessageProperties {
            utf8_payload: true,
            expiry_s: Some(3600),
            content_type: Some("application/json".to_owned()),
            response_topic: Some("sample/response/topic".to_owned()),
            correlation_data: Some(b"SN\0\xff 1".to_vec()),
            user: [("a b", ""), ("same", "b"), ("", "ü")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        };
        assert_eq!(given.properties, properties);
    }

    #[test]
    fn a_bad_value_is_refused_with_the_name_of_its_parameter() {
        for (query, name) in [
            ("qos=3", "qos"),
            ("qos=", "qos"),
            ("qos=01", "qos"),
            ("retained=1", "retained"),
            ("retained=True", "retained"),
            ("ResponseTopic=", "ResponseTopic"),
            ("ResponseTopic=a/%23", "ResponseTopic"),
            ("ResponseTopic=a%2B", "ResponseTopic"),
            ("ContentType=a%00", "ContentType"),
            ("PayloadFormatIndicator=2", "PayloadFormatIndicator"),
            ("PayloadFormatIndicator=true", "PayloadFormatIndicator"),
            ("MessageExpiryInterval=-1", "MessageExpiryInterval"),
            ("MessageExpiryInterval=4294967296", "MessageExpiryInterval"),
            ("MessageExpiryInterval=1.5", "MessageExpiryInterval"),
            ("CorrelationData=%f", "CorrelationData"),
            ("UserProp.1.Key=a", "UserProp"),
            ("UserProp.1.Value=a", "UserProp"),
            ("UserProp.1.Key=a&UserProp.1.Value=b&UserProp.01.Key=a", "UserProp"),
            ("UserProp.1.Key=%00&UserProp.1.Value=b", "UserProp"),
            ("UserProp.1.Key=%ff&UserProp.1.Value=b", "UserProp"),
            ("UserProp.x.Key=a&UserProp.x.Value=b", "UserProp"),
            ("UserProp.+1.Key=a", "UserProp"),
            ("UserProp..Key=a", "UserProp"),
            ("UserProp.1234567890.Key=a", "UserProp"),
            ("UserProp.1.key=a", "UserProp"),
            ("UserProp.1=a", "UserProp"),
            ("retain=true", "retained"),
        ] {
            match of(query) {
                Err(BadParameter::Value(sentence)) => assert!(sentence.contains(name), "{query}: {sentence}"),
                other => panic!("{query}: {other:?}"),
            }
        }
        assert!(matches!(of("client_id="), Err(BadParameter::ClientId(_))));
        assert!(matches!(of("client_id=%00"), Err(BadParameter::ClientId(_))));
        assert_eq!(of("qos=1&qos=2"), Err(BadParameter::Repeated("qos")));
        assert_eq!(of("CorrelationData=a&CorrelationData=b"), Err(BadParameter::Repeated(CORRELATION_DATA)));
    }
}
