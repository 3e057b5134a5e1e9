//! The header of the PROXY protocol, versions 1 and 2 (HAProxy, "The PROXY protocol", 2.1 and 2.2): a balancer in front
//! says whose connection it forwards. Read exactly, before anything else; what is not well formed ends the connection.
//!
//! Who may reach a listener that expects the header may claim any address: only the balancer should.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// The shortest header, `PROXY UNKNOWN` and its line end; no longer than the fixed part of version 2.
const SHORTEST: usize = 15;
/// The longest header of version 1, line end included.
const V1_BYTES_MAX: usize = 107;
/// The fixed part of version 2.
const V2_FIXED: usize = 16;
/// The longest rest of version 2 that is taken: addresses, and what balancers add to them.
const V2_REST_MAX: usize = 2048;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1_SIGNATURE: &[u8] = b"PROXY ";

/// Why there is no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The connection ended.
    Gone,
    /// The bytes are no header.
    Malformed,
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Fault::Gone
    }
}

/// Takes the header off the socket and not a byte more. The address of the client; `None` when the balancer speaks for
/// itself (a health check) or does not know it.
pub(crate) async fn read(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, Fault> {
    let mut head = [0; SHORTEST];
    tcp.read_exact(&mut head).await?;
    if head.starts_with(V2_SIGNATURE) {
        let last = tcp.read_u8().await?;
        let mut fixed = [0; V2_FIXED];
        fixed[..SHORTEST].copy_from_slice(&head);
        fixed[SHORTEST] = last;
        let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        if len > V2_REST_MAX {
            return Err(Fault::Malformed);
        }
        let mut rest = vec![0; len];
        tcp.read_exact(&mut rest).await?;
        return v2(fixed[12], fixed[13], &rest);
    }
    if !head.starts_with(V1_SIGNATURE) {
        return Err(Fault::Malformed);
    }
    let mut line = head.to_vec();
    while !line.ends_with(b"\n") {
        let room = V1_BYTES_MAX.saturating_sub(line.len());
        if room == 0 {
            return Err(Fault::Malformed);
        }
        // Looked at before it is taken: what follows the line belongs to the client.
        let mut window = [0; V1_BYTES_MAX];
        let seen = tcp.peek(&mut window[..room]).await?;
        let taken = window[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |end| end + 1);
        if taken == 0 {
            return Err(Fault::Gone);
        }
        tcp.read_exact(&mut window[..taken]).await?;
        line.extend_from_slice(&window[..taken]);
    }
    v1(&line)
}

fn v1(line: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or(Fault::Malformed)?;
    let mut words = text.split(' ');
    let (_, family) = (words.next(), words.next());
    if family == Some("UNKNOWN") {
        return Ok(None); // whatever follows is to be ignored
    }
    let rest: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = rest[..] else { return Err(Fault::Malformed) };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            Some("TCP4") => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            Some("TCP6") => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| -> Option<u16> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| is_plain)
    };
    let whole = (address(source), address(destination), port(source_port), port(destination_port));
    match whole {
        (Some(ip), Some(_), Some(port), Some(_)) => Ok(Some(SocketAddr::new(ip, port))),
        _ => Err(Fault::Malformed),
    }
}

fn v2(version_and_command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const UNSPECIFIED: u8 = 0x00;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;
    match version_and_command {
        LOCAL => return Ok(None), // the rest is to be skipped
        PROXY => {}
        _ => return Err(Fault::Malformed),
    }
    let (source, additions) = match family {
        UNSPECIFIED => return Ok(None),
        TCP4 => {
            let (addresses, additions) = rest.split_first_chunk::<12>().ok_or(Fault::Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            (SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))), additions)
        }
        TCP6 => {
            let (ip, after) = rest.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
            let (_, after) = after.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
            let ([high, low, _, _], additions) = after.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
            (SocketAddr::from((*ip, u16::from_be_bytes([*high, *low]))), additions)
        }
        _ => return Err(Fault::Malformed), // datagrams and local sockets carry no MQTT
    };
    additions_fit(additions).then_some(Some(source)).ok_or(Fault::Malformed)
}

/// The additions (2.2.7) are type, length and value, up to the end.
fn additions_fit(mut additions: &[u8]) -> bool {
    while let Some(([_, high, low], after)) = additions.split_first_chunk::<3>() {
        match after.get(usize::from(u16::from_be_bytes([*high, *low]))..) {
            Some(rest) => additions = rest,
            None => return false,
        }
    }
    additions.is_empty()
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    /// What a socket that gets these bytes reads as its header, and what is left for the client.
    async fn header(bytes: &[u8]) -> (Result<Option<SocketAddr>, Fault>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let result = read(&mut server).await;
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        (result, rest)
    }

    fn second(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[version_and_command, family], &len, rest].concat()
    }

    const FOUR: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x1F, 0x90, 0x07, 0x5B];

    #[tokio::test]
    async fn well_formed_headers_name_the_client_and_leave_the_rest() {
        let six = [&[0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16], &[0, 80, 0, 81]].concat();
        let added = [FOUR, &[0x04, 0, 2, 1, 2], &[0xEA, 0, 0]].concat();
        for (bytes, client) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 1883\r\n".to_vec(), Some("192.0.2.7:8080")),
            (b"PROXY TCP6 2001:db8::1 ::1 80 1883\r\n".to_vec(), Some("[2001:db8::1]:80")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (second(0x21, 0x11, FOUR), Some("192.0.2.7:8080")),
            (second(0x21, 0x11, &added), Some("192.0.2.7:8080")),
            (second(0x21, 0x21, &six), Some("[2001:db8::1]:80")),
            (second(0x21, 0x00, b""), None),
            (second(0x20, 0x00, b""), None),
            (second(0x20, 0x11, FOUR), None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let (result, rest) = header(&[&bytes[..], b"\x10\x0aMQTT\n"].concat()).await;
            assert_eq!((result, &rest[..]), (Ok(client), &b"\x10\x0aMQTT\n"[..]), "{bytes:02x?}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_malformed() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200], b"\r\n".to_vec()].concat();
        for bytes in [
            &b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06cli311"[..],
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 1883\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 1883 1\r\n",
            b"PROXY TCP4 192.0.2.7  10.0.0.1 8080 1883\r\n",
            b"PROXY TCP4 192.0.2.07 10.0.0.1 8080 1883\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 08080 1883\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +8080 1883\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 1883\r\n",
            b"PROXY TCP4 ::1 ::1 8080 1883\r\n",
            b"PROXY TCP6 192.0.2.7 10.0.0.1 8080 1883\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 8080 1883\r\n",
            b"PROXY TCP4 \xff\xff\xff\xff 10.0.0.1 8080 1883\r\n",
            b"proxy TCP4 192.0.2.7 10.0.0.1 8080 1883\r\n",
            &long,
            &second(0x11, 0x11, FOUR),
            &second(0x22, 0x11, FOUR),
            &second(0x21, 0x12, FOUR),
            &second(0x21, 0x31, FOUR),
            &second(0x21, 0x11, &FOUR[..11]),
            &second(0x21, 0x21, FOUR),
            &second(0x21, 0x11, &[FOUR, &[0x04, 0, 2, 1]].concat()),
            &second(0x21, 0x11, &[FOUR, &[0x04, 0]].concat()),
            &second(0x20, 0x00, &vec![0; V2_REST_MAX + 1]),
        ] {
            assert_eq!(header(bytes).await.0, Err(Fault::Malformed), "{bytes:02x?}");
        }
    }

    #[tokio::test]
    async fn a_header_cut_off_is_no_header() {
        for whole in [b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 1883\r\n".to_vec(), second(0x21, 0x11, FOUR)] {
            for len in 0..whole.len() {
                assert_eq!(header(&whole[..len]).await.0, Err(Fault::Gone), "{len} of {whole:02x?}");
            }
        }
    }
}
