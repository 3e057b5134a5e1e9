//! The fixed header (MQTT 5.0, 2.1): where a packet begins and ends.

/// First byte of CONNECT.
pub(crate) const CONNECT: u8 = 0x10;
/// DUP flag, which MQTT 3.1 allows on SUBSCRIBE, UNSUBSCRIBE and PUBREL.
const DUP: u8 = 0x08;
/// First bytes of PUBREL, SUBSCRIBE and UNSUBSCRIBE with DUP.
const WITH_DUP_IN_31: [u8; 3] = [0x6A, 0x8A, 0xAA];

/// Where a packet lies in the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    first: u8,
    header: usize,
    body: usize,
}

/// Why bytes cannot begin a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameFault {
    /// The length has more bytes than it needs (MQTT-1.5.5-1).
    Malformed,
    /// The length has more than four bytes: nobody knows where the next packet begins.
    Endless,
    /// The packet is larger than allowed.
    TooLarge,
}

impl Frame {
    /// Bytes of the whole packet.
    pub(crate) fn len(&self) -> usize {
        self.header + self.body
    }

    pub(crate) fn is_connect(&self) -> bool {
        self.first >> 4 == CONNECT >> 4
    }

    /// MQTT 3.1 does not use the lower bits of CONNECT's first byte, later versions reserve them.
    pub(crate) fn has_flags(&self) -> bool {
        self.first & 0x0F != 0
    }

    /// The packet without its fixed header; the buffer must hold all of it.
    pub(crate) fn body<'a>(&self, src: &'a [u8]) -> &'a [u8] {
        src.get(self.header..self.len()).unwrap_or_default()
    }
}

/// Looks at a fixed header without consuming it; `None` when more bytes are needed. A packet too large is refused as
/// soon as its length is known, not when it has arrived.
pub(crate) fn peek(src: &[u8], most: u32) -> Result<Option<Frame>, FrameFault> {
    let Some((first, rest)) = src.split_first() else {
        return Ok(None);
    };
    let mut body: u32 = 0;
    for place in 0..4 {
        let Some(byte) = rest.get(place) else {
            return Ok(None);
        };
        body |= u32::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            if place > 0 && *byte == 0 {
                return Err(FrameFault::Malformed);
            }
            let header = place + 2;
            let body = usize::try_from(body).map_err(|_| FrameFault::TooLarge)?;
            if header + body > usize::try_from(most).unwrap_or(usize::MAX) {
                return Err(FrameFault::TooLarge);
            }
            return Ok(Some(Frame { first: *first, header, body }));
        }
    }
    Err(FrameFault::Endless)
}

/// MQTT 3.1 lets a client repeat SUBSCRIBE, UNSUBSCRIBE and PUBREL with DUP; later versions and the codec do not.
pub(crate) fn clear_dup_of_31(src: &mut [u8]) {
    if let Some(first) = src.first_mut()
        && WITH_DUP_IN_31.contains(first)
    {
        *first &= !DUP;
    }
}
