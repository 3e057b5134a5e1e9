//! Any request target: what is decoded is in it once decoded, what is refused cannot be decoded, and no cursor or token is
//! taken that was not made here.

use crate::{
    client_id_path::{BadClientId, decode_segment, query_client_id},
    cursor,
    event_token::Tokens,
    publish_parameters::PublishParameters,
    route::{Route, presence_segment, status_segment, topic_segment},
    wait::wait,
};
use rollcall_contracts::{ClientsQuestion, FeedsKnown};
use rollcall_test_fuzzing::{Effort, Plan, Target, run, search, shape};
use rollcall_types::ClientId;

const BYTES_MAX: usize = 64;

type Decode = fn(&str) -> Result<ClientId, BadClientId>;

fn decode(raw: &str) -> Result<ClientId, BadClientId> {
    decode_segment(raw, BYTES_MAX)
}

fn examples() -> Vec<Vec<u8>> {
    [
        "/client-id/VIN0000001/status?client_id=a%2Fb&wait=5&for=online",
        "/client-id/a%2F%2Fb/status?wait=600&for=offline",
        "/client-id/..%00%zz+%C3%BC/status",
        "/clients/%F0%9F%90%B8/presence",
        "/topics/a%2Fb?qos=2&retained=true&client_id=x&UserProp.1.Key=k&UserProp.1.Value=v&CorrelationData=%00",
        "/topics/a?ResponseTopic=r&PayloadFormatIndicator=1&MessageExpiryInterval=3600&ContentType=t",
        "/clients?cursor=AQBhYmM&limit=1000",
        "/presence/events?from=AQAAAAAAAAAAAA",
        "/client-id/100%2525/status",
        "/client-ids/status",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// By the sentences of RFC 3986, 2.1: a percent sign and two hexadecimal digits.
fn is_escaped_well(raw: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = raw.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'%' || (hex(bytes.get(at + 1)) && hex(bytes.get(at + 2))))
}

/// Every byte escaped: what no id can hide behind.
fn all_escaped(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn check(input: &[u8], decode: Decode) -> Result<u64, String> {
    let target = String::from_utf8_lossy(input);
    let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    let segment = status_segment(path).or_else(|| presence_segment(path)).or_else(|| topic_segment(path));
    let decoded = segment.map(decode);
    match (&decoded, segment) {
        (Some(Ok(id)), Some(raw)) => {
            let again = decode(&all_escaped(id.as_str()));
            if again.as_ref() != Ok(id) || id.as_str().len() > raw.len() || !is_escaped_well(raw) {
                return Err(format!("{raw:?} is {id:?}, which escaped is {again:?}"));
            }
        }
        (Some(Err(BadClientId::BadEscape)), Some(raw)) if is_escaped_well(raw) => {
            return Err(format!("{raw:?} is refused for an escape that is well"));
        }
        _ => {}
    }
    let known = FeedsKnown { partitions: 2, history: "h".to_owned() };
    let text = query.unwrap_or(path);
    let position = Tokens::of(&known).read(text);
    // As much as is known of what was not made here: it bears no check sum.
    if let Ok(positions) = &position
        && Tokens::of(&known).written(positions) != text
    {
        return Err(format!("{text:?} is a token, and not as it is written"));
    }
    let place = cursor::read("c", &ClientsQuestion::default(), text);
    let outcome = (
        Route::of(path).map(|route| format!("{route:?}")),
        decoded.map(|decoded| decoded.map(|_| ()).map_err(|error| format!("{error:?}"))),
        format!("{:?}", query_client_id(query, BYTES_MAX).map(|id| id.is_some())),
        format!("{:?}", wait(query).map(|wait| wait.is_some())),
        format!("{:?}", PublishParameters::of(query, BYTES_MAX).map(|given| given.qos)),
        (position.is_ok(), place.is_ok()),
    );
    Ok(shape(outcome))
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_targets", examples, bytes_max: 300, cases: 60_000 }
}

#[test]
fn fuzzed_targets_are_decoded_once_or_refused_for_what_they_are() {
    run(target(&examples()), |input| check(input, decode));
}

#[test]
fn an_id_that_is_decoded_twice_is_noticed() {
    let twice: Decode = |raw| decode(decode(raw)?.as_str());
    let plan = Plan { seed: 1, effort: Effort::Cases(200_000) };
    let failure = search(target(&examples()), plan, |input| check(input, twice)).unwrap_err();
    assert!(failure.wrong.contains("escape"), "{failure:?}");
}
