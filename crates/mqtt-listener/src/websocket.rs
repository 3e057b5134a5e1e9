//! The WebSocket upgrade of RFC 6455, 4.2, as MQTT uses it (MQTT 5.0, 6): path `/mqtt`, sub-protocol `mqtt`, binary
//! frames. After it, ntex's WebSocket filter lies between the socket and the MQTT bytes; it refuses text frames.

use ntex::{
    codec::Decoder,
    io::{Filter, Io, Layer},
    util::{BytesMut, Either},
    ws,
};

/// The one path.
const PATH: &str = "/mqtt";
/// Sub-protocol names: MQTT-6.0.0-3, and what MQTT 3.1 clients still send.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// Longest request head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// What a frame may carry besides one packet of the largest size.
const FRAME_OVERHEAD: usize = 64 * 1024;

/// Why a request is no upgrade to MQTT, with the status it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// No HTTP request, or no upgrade to WebSocket with the sub-protocol of MQTT.
    BadRequest,
    /// Another path.
    NotFound,
    /// Not GET.
    MethodNotAllowed,
    /// Another version of WebSocket.
    WrongVersion,
    /// The request head is too long.
    TooLong,
    /// The client went away.
    Gone,
}

/// What matters of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Upgrade {
    key: String,
    protocol: &'static str,
}

/// Reads the request and answers 101, or answers why not. The stream is given back in both cases.
pub(crate) async fn upgrade<F: Filter>(
    io: Io<F>,
    packet_bytes_max: u32,
) -> Result<Io<Layer<ws::WsTransport, F>>, (Io<F>, Refused)> {
    let head = match io.recv(&RequestHead).await {
        Ok(Some(head)) => head,
        Ok(None) | Err(Either::Right(_)) => return Err((io, Refused::Gone)),
        Err(Either::Left(refused)) => return Err((io, refused)),
    };
    let accepted = parse(&head).and_then(|upgrade| {
        let accept = ws::hash_key(upgrade.key.as_bytes()).map_err(|_| Refused::BadRequest)?;
        Ok((accept, upgrade.protocol))
    });
    let (accept, protocol) = match accepted {
        Ok(accepted) => accepted,
        Err(refused) => return Err((io, refused)),
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    if io.encode_slice(answer.as_bytes()).is_err() {
        return Err((io, Refused::Gone));
    }
    let most = usize::try_from(packet_bytes_max).unwrap_or(usize::MAX).saturating_add(FRAME_OVERHEAD);
    Ok(ws::WsTransport::create(io, ws::Codec::new().max_size(most)))
}

impl Refused {
    /// The answer, complete.
    pub(crate) fn answer(self) -> &'static str {
        match self {
            Refused::BadRequest => "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Refused::NotFound => "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Refused::MethodNotAllowed => {
                "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Refused::WrongVersion => {
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: \
                 close\r\nContent-Length: 0\r\n\r\n"
            }
            Refused::TooLong => {
                "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Refused::Gone => "",
        }
    }
}

/// Takes a request head off the stream, the empty line included.
struct RequestHead;

impl Decoder for RequestHead {
    type Item = String;
    type Error = Refused;

    fn decode(&self, src: &mut BytesMut) -> Result<Option<String>, Refused> {
        let window = &src[..src.len().min(HEAD_BYTES_MAX)];
        match window.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => {
                let head = src.split_to(end + 4);
                String::from_utf8(head.to_vec()).map(Some).map_err(|_| Refused::BadRequest)
            }
            None if src.len() >= HEAD_BYTES_MAX => Err(Refused::TooLong),
            None => Ok(None),
        }
    }
}

fn parse(head: &str) -> Result<Upgrade, Refused> {
    let mut lines = head.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (request.next(), request.next(), request.next());
    if version != Some("HTTP/1.1") || request.next().is_some() {
        return Err(Refused::BadRequest);
    }
    let path = target.unwrap_or_default().split('?').next().unwrap_or_default();
    if path != PATH {
        return Err(Refused::NotFound);
    }
    if method != Some("GET") {
        return Err(Refused::MethodNotAllowed);
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let lists = |name: &str| {
        let name = name.to_owned();
        headers
            .iter()
            .filter(move |(header, _)| header.eq_ignore_ascii_case(&name))
            .flat_map(|(_, value)| value.split(',').map(str::trim))
    };
    let has = |name: &str, wanted: &str| lists(name).any(|value| value.eq_ignore_ascii_case(wanted));
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(Refused::BadRequest);
    }
    if !has("sec-websocket-version", "13") {
        return Err(Refused::WrongVersion);
    }
    let protocol = PROTOCOLS.into_iter().find(|known| lists("sec-websocket-protocol").any(|asked| asked == *known));
    let key = lists("sec-websocket-key").next().filter(|key| key.len() == 24);
    match (key, protocol) {
        (Some(key), Some(protocol)) => Ok(Upgrade { key: key.to_owned(), protocol }),
        _ => Err(Refused::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                        Sec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

    #[test]
    fn a_proper_upgrade_is_taken() {
        let wanted = Upgrade { key: "dGhlIHNhbXBsZSBub25jZQ==".into(), protocol: "mqtt" };
        assert_eq!(parse(GOOD), Ok(wanted.clone()));
        assert_eq!(parse(&GOOD.replace("/mqtt ", "/mqtt?x=1 ")), Ok(wanted));
    }

    #[test]
    fn anything_else_is_refused_with_its_status() {
        for (from, to, refused) in [
            ("GET /mqtt", "GET /", Refused::NotFound),
            ("GET /mqtt", "GET /mqtt/", Refused::NotFound),
            ("GET", "POST", Refused::MethodNotAllowed),
            ("HTTP/1.1", "HTTP/1.0", Refused::BadRequest),
            ("Upgrade: WebSocket", "Upgrade: h2c", Refused::BadRequest),
            ("keep-alive, Upgrade", "keep-alive", Refused::BadRequest),
            ("Version: 13", "Version: 8", Refused::WrongVersion),
            ("chat, mqtt", "chat", Refused::BadRequest),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", Refused::BadRequest),
        ] {
            assert_eq!(parse(&GOOD.replace(from, to)), Err(refused), "{from} as {to}");
        }
    }

    #[test]
    fn a_request_head_is_taken_off_whole_and_no_longer_than_allowed() {
        let mut src = BytesMut::copy_from_slice("GET / HTTP/1.1\r\n\r\nrest");
        assert_eq!(RequestHead.decode(&mut src), Ok(Some("GET / HTTP/1.1\r\n\r\n".into())));
        assert_eq!(src.as_ref(), b"rest");
        assert_eq!(RequestHead.decode(&mut src), Ok(None));
        let mut long = BytesMut::copy_from_slice(vec![b'a'; HEAD_BYTES_MAX]);
        assert_eq!(RequestHead.decode(&mut long), Err(Refused::TooLong));
    }
}
