//! Any bytes on the wire: a packet, a wish for more, or a fault with a code; the same in whatever pieces they come; what
//! is a packet is the same one when it is encoded again; and no length in it makes memory of what did not come.

use super::{Names, Wire, frame};
use ntex::codec::{Decoder, Encoder};
use ntex::util::{BytePages, BytesMut};
use ntex_mqtt::{v3, v5};
use rollcall_session::{DecodeFault, Packet};
use rollcall_test_fuzzing::{Choices, Effort, Plan, Target, run, search, shape};
use rollcall_types::Protocol;

const PACKET_BYTES_MAX: u32 = 400;
const INPUT_BYTES_MAX: usize = 1_000;
/// Memory for one byte that came: a filter of one letter takes four bytes of a SUBSCRIBE, and has an entry in a list and
/// a text of its own, in the codec's form and in ours.
const MEMORY_PER_BYTE_MAX: usize = 64;
/// And beside it: the decoder, and what its error says.
const MEMORY_BESIDE_MAX: usize = 4_096;

const CONNECTS: [(Protocol, &[u8]); 3] = [
    (Protocol::V31, b"\x10\x13\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x05cli31"),
    (Protocol::V311, b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06cli311"),
    (Protocol::V5, b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04cli5"),
];

/// Packets of clients, each of which exists in both forms unless it begins with a byte of its own version.
const PACKETS: [&[u8]; 24] = [
    b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06cli311",
    b"\x10\x25\x00\x04MQTT\x04\xe6\x00\x3c\x00\x02id\x00\x03w/t\x00\x04gone\x00\x04user\x00\x04pass",
    b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04cli5",
    // Session expiry, Receive Maximum, Maximum Packet Size, Topic Alias Maximum, request flags, user property; a will
    // with delay, format, expiry, content type, response topic, correlation data, user property; user and password.
    b"\x10\x68\x00\x04MQTT\x05\xee\x00\x3c\x1b\x11\x00\x00\x00\x0a\x21\x00\x05\x27\x00\x00\x01\x00\x22\x00\x03\x19\x01\
      \x17\x00\x26\x00\x01k\x00\x01v\x00\x02id\x26\x18\x00\x00\x00\x02\x01\x01\x02\x00\x00\x00\x09\x03\x00\x04text\
      \x08\x00\x03r/t\x09\x00\x03abc\x26\x00\x01k\x00\x01v\x00\x03w/t\x00\x04gone\x00\x04user\x00\x04pass",
    b"\x30\x08\x00\x03a/bxyz",
    b"\x3d\x0a\x00\x03a/b\x00\x05xyz",
    b"\x32\x05\x00\x01a\x00\x07",
    b"\x34\x06\x00\x01a\x00\x07\x00",
    // Format, expiry, alias, response topic, correlation data, user property, content type.
    b"\x32\x2c\x00\x03a/b\x00\x08\x23\x01\x01\x02\x00\x00\x00\x0a\x23\x00\x02\x08\x00\x03r/t\x09\x00\x02cd\x26\x00\x01k\
      \x00\x01v\x03\x00\x04textp",
    b"\x40\x02\x00\x01",
    b"\x40\x04\x00\x01\x10\x00",
    b"\x50\x0a\x00\x01\x97\x06\x1f\x00\x03why",
    b"\x62\x02\x00\x01",
    b"\x70\x03\x00\x01\x92",
    b"\x82\x0a\x00\x01\x00\x05a/+/#\x01",
    b"\x82\x12\x00\x01\x02\x0b\x07\x00\x0a$share/g/a\x29",
    b"\x82\x11\x00\x01\x00\x00\x03a/b\x2e\x00\x05b/#/c\x01",
    b"\x82\x13\x00\x01\x00\x00\x01a\x00\x00\x01b\x01\x00\x01c\x02\x00\x01d\x00",
    b"\xa2\x07\x00\x01\x00\x03a/b",
    b"\xa2\x08\x00\x01\x00\x00\x03a/b",
    b"\xc0\x00",
    b"\xe0\x00",
    b"\xe0\x07\x04\x05\x11\x00\x00\x00\x09",
    b"\xf0\x0c\x18\x0a\x15\x00\x03abc\x16\x00\x01d",
];

/// What a row of bytes comes to.
#[derive(PartialEq, Debug)]
struct Outcome {
    packets: Vec<Packet>,
    fault: Option<DecodeFault>,
    left: usize,
}

type Decode = fn(&Wire, &mut BytesMut) -> Result<Option<Packet>, DecodeFault>;

/// How an input is read: the version whose CONNECT goes before it, rules of names, size of pieces, and whether lengths
/// of frames are put right first, so that damage is found behind them.
struct Terms {
    connected: Option<(Protocol, &'static [u8])>,
    names: Names,
    piece: usize,
    decode: Decode,
}

impl Terms {
    fn wire(&self) -> Wire {
        let wire = Wire::new(PACKET_BYTES_MAX, self.names, true);
        if let Some((_, connect)) = self.connected {
            assert!(matches!(wire.decode(&mut BytesMut::copy_from_slice(connect)), Ok(Some(Packet::Connect(_)))));
        }
        wire
    }

    fn outcome(&self, bytes: &[u8], piece: usize) -> Result<Outcome, String> {
        let wire = self.wire();
        let (mut outcome, mut src) = (Outcome { packets: Vec::new(), fault: None, left: 0 }, BytesMut::new());
        for piece in bytes.chunks(piece) {
            src.extend_from_slice(piece);
            loop {
                let (before, spoken) = (src.clone(), wire.protocol());
                match (self.decode)(&wire, &mut src) {
                    Ok(None) if src.len() == before.len() => break,
                    Ok(Some(packet)) if src.len() < before.len() => {
                        let taken = &before[..before.len() - src.len()];
                        if taken.len() > PACKET_BYTES_MAX as usize {
                            return Err(format!("{} bytes are a packet", taken.len()));
                        }
                        self.same_again(&packet, taken, spoken, wire.protocol())?;
                        outcome.packets.push(packet);
                    }
                    Ok(packet) => return Err(format!("{} bytes became {}, {packet:?}", before.len(), src.len())),
                    Err(fault) => {
                        fits(fault, wire.protocol())?;
                        outcome.fault = Some(fault);
                        return Ok(outcome);
                    }
                }
            }
        }
        outcome.left = src.len();
        match frame::peek(&src, PACKET_BYTES_MAX) {
            Ok(Some(frame)) if frame.len() <= src.len() => Err(format!("a whole frame is left: {src:02x?}")),
            _ => Ok(outcome),
        }
    }

    /// The packet, encoded anew, is the same packet.
    fn same_again(
        &self,
        packet: &Packet,
        taken: &[u8],
        spoken: Option<Protocol>,
        protocol: Option<Protocol>,
    ) -> Result<(), String> {
        let is_connect = matches!(packet, Packet::Connect(_));
        if is_connect && (spoken.is_some() || protocol == Some(Protocol::V31)) {
            return Ok(()); // not read at all, or dressed for the codec
        }
        let connected = CONNECTS.into_iter().find(|(version, _)| Some(*version) == spoken);
        let again = Terms { connected, ..*self }.wire();
        let bytes = encoded(taken, protocol).ok_or_else(|| format!("{packet:?} cannot be encoded"))?;
        // A form that is longer than the one that came may be too long; it is not ours to send.
        if bytes.len() > PACKET_BYTES_MAX as usize {
            return Ok(());
        }
        match (self.decode)(&again, &mut BytesMut::copy_from_slice(&bytes)) {
            Ok(Some(same)) if same == *packet => Ok(()),
            other => Err(format!("{packet:?} encoded again, {bytes:02x?}, is {other:?}")),
        }
    }
}

/// Every fault has the code that the standard gives it, in the version of the client; without a code nothing is said.
fn fits(fault: DecodeFault, protocol: Option<Protocol>) -> Result<(), String> {
    let code = fault.reason_code().map(|code| code.byte());
    match (fault, code) {
        (DecodeFault::NotMqtt, None) => Ok(()),
        (DecodeFault::UnsupportedLevel(_) | DecodeFault::EmptyClientId(_), Some(0x80..)) => Ok(()),
        (_, Some(0x80..)) if fault.protocol() == protocol => Ok(()),
        (DecodeFault::TooLarge(_) | DecodeFault::Malformed(_) | DecodeFault::ProtocolError(_), Some(0x80..))
            if protocol.is_none() =>
        {
            Ok(()) // of a CONNECT that named its version before it went wrong
        }
        _ => Err(format!("{fault:?} has the code {code:?}, the client speaks {protocol:?}")),
    }
}

/// What the codec makes of a packet that it has read.
fn encoded(bytes: &[u8], protocol: Option<Protocol>) -> Option<Vec<u8>> {
    let (mut src, mut out) = (BytesMut::copy_from_slice(bytes), BytePages::default());
    if protocol == Some(Protocol::V31) {
        frame::clear_dup_of_31(&mut src);
    }
    if protocol == Some(Protocol::V5) {
        let codec = v5::codec::Codec::new();
        let item = match codec.decode(&mut src).ok()?? {
            v5::codec::Decoded::Packet(packet, _) => v5::codec::Encoded::Packet(packet),
            v5::codec::Decoded::Publish(publish, payload, _) => v5::codec::Encoded::Publish(publish, Some(payload)),
            v5::codec::Decoded::PayloadChunk(..) => return None,
        };
        codec.encodev(item, &mut out).ok()?;
    } else {
        let codec = v3::codec::Codec::new();
        let item = match codec.decode(&mut src).ok()?? {
            v3::codec::Decoded::Packet(packet, _) => v3::codec::Encoded::Packet(packet),
            v3::codec::Decoded::Publish(publish, payload, _) => v3::codec::Encoded::Publish(publish, Some(payload)),
            v3::codec::Decoded::PayloadChunk(..) => return None,
        };
        codec.encodev(item, &mut out).ok()?;
    }
    Some(out.freeze().to_vec())
}

/// Puts the length of the first frame right, if it takes one byte.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut repaired = bytes.to_vec();
    if let (Some(length), Ok(body)) = (repaired.get_mut(1), u8::try_from(bytes.len().saturating_sub(2)))
        && body < 0x80
    {
        *length = body;
    }
    repaired
}

fn check(input: &[u8], decode: Decode) -> Result<u64, String> {
    let mut choices = Choices::new(input);
    let (Some(how), Some(piece)) = (choices.byte(), choices.byte()) else { return Ok(0) };
    let connected = CONNECTS.get(usize::from(how & 3)).copied();
    let names = if how & 4 == 0 { Names::Any } else { Names::Plain };
    let terms = Terms { connected, names, piece: usize::from(piece).max(1), decode };
    let bytes = if how & 8 == 0 { choices.rest().to_vec() } else { repaired(choices.rest()) };

    let whole = terms.outcome(&bytes, bytes.len().max(1))?;
    let in_pieces = terms.outcome(&bytes, terms.piece)?;
    if whole != in_pieces {
        return Err(format!("whole {whole:?}, in pieces of {} {in_pieces:?}", terms.piece));
    }
    let wire = terms.wire();
    let mut src = BytesMut::copy_from_slice(&bytes);
    let memory = allocation_counter::measure(|| while let Ok(Some(_)) = decode(&wire, &mut src) {}).bytes_max;
    let most = MEMORY_PER_BYTE_MAX * bytes.len() + MEMORY_BESIDE_MAX;
    if memory > most as u64 {
        return Err(format!("{memory} bytes of memory for {} that came", bytes.len()));
    }
    let kinds: Vec<_> = whole.packets.iter().take(3).map(std::mem::discriminant).collect();
    Ok(shape((how & 3, kinds, whole.fault.map(|fault| format!("{fault:?}")), whole.left > 0)))
}

fn examples() -> Vec<Vec<u8>> {
    let mut examples = Vec::new();
    for how in 0..4u8 {
        // One by one, and in a row, in pieces.
        examples.extend(PACKETS.map(|packet| [&[how, 255], packet].concat()));
        examples.extend(PACKETS.map(|packet| [&[how | 8, 3], packet].concat()));
        examples.extend(PACKETS.windows(3).map(|row| [&[how, 1], &row.concat()[..]].concat()));
    }
    examples
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_wire", examples, bytes_max: INPUT_BYTES_MAX, cases: 25_000 }
}

#[test]
fn fuzzed_wire_bytes_are_packets_or_faults_with_a_code_and_packets_stay_the_same() {
    run(target(&examples()), |input| check(input, |wire, src| wire.decode(src)));
}

#[test]
fn the_examples_are_packets_of_every_kind() {
    let decoded = |how: usize| {
        let terms =
            Terms { connected: CONNECTS.get(how).copied(), names: Names::Any, piece: 1, decode: |w, s| w.decode(s) };
        PACKETS.map(|packet| terms.outcome(packet, 7).unwrap().packets.len()).iter().sum::<usize>()
    };
    // At 3.1, 3.1.1 and 5, with the four that are a second CONNECT; and where there was none, those four.
    assert_eq!([decoded(0), decoded(1), decoded(2), decoded(3)], [15, 15, 19, 4]);
}

#[test]
fn a_decoder_that_lets_wrong_things_pass_is_noticed() {
    let plan = Plan { seed: 1, effort: Effort::Cases(25_000) };
    let broken: [(Decode, &str); 4] = [
        // Forgets what it had read when a frame is not whole.
        (
            |wire, src| {
                let decoded = wire.decode(src);
                if decoded == Ok(None) {
                    src.clear();
                }
                decoded
            },
            "became",
        ),
        (
            |wire, src| wire.decode(src).inspect(|packet| assert!(*packet != Some(Packet::PingReq), "a ping")),
            "panicked",
        ),
        // Takes an acknowledgement with all its fields for something else.
        (
            |wire, src| {
                let is_long = src.starts_with(&[0x40, 4]);
                wire.decode(src).map(|packet| if is_long { packet.map(|_| Packet::ServerOnly) } else { packet })
            },
            "is Ok",
        ),
        // Makes room for what a length says.
        (
            |wire, src| {
                let said = src.get(1..3).map_or(0, |length| usize::from(u16::from_be_bytes([length[0], length[1]])));
                let room = Vec::<u64>::with_capacity(said);
                let decoded = wire.decode(src);
                drop(room);
                decoded
            },
            "of memory",
        ),
    ];
    for (decode, word) in broken {
        let failure = search(target(&examples()), plan, |input| check(input, decode)).unwrap_err();
        assert!(failure.wrong.contains(word), "{failure:?}");
    }
}
