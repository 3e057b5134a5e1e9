//! Where a stream of presence events goes on, as clients hold it: one position for each partition, in a text that means
//! nothing to them and is refused when it was not made in this history.
//!
//! A token gives nobody a right: who holds one is authorized anew. The checksum is there so that one which was cut short
//! is told from one of another history, which nothing brings back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rollcall_contracts::FeedsKnown;
use rollcall_types::{FeedPosition, LogIndex};
use sha2::{Digest, Sha256};

/// The form written by this program.
const VERSION: u8 = 1;
const HISTORY_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;

/// Why a text is no token of this history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadToken {
    /// No token at all, or a damaged one.
    Malformed,
    /// Positions of another history.
    OtherHistory,
}

/// Writes and reads the tokens of one history.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    history: [u8; HISTORY_BYTES],
    partitions: usize,
}

impl Tokens {
    pub(crate) fn of(known: &FeedsKnown) -> Tokens {
        let digest = Sha256::new()
            .chain_update(known.partitions.to_le_bytes())
            .chain_update(known.history.as_bytes())
            .finalize();
        Tokens { history: std::array::from_fn(|place| digest[place]), partitions: usize::from(known.partitions) }
    }

    /// One position for each partition, in their order.
    pub(crate) fn written(&self, positions: &[FeedPosition]) -> String {
        let mut bytes = Vec::with_capacity(1 + HISTORY_BYTES + 8 * positions.len() + CHECK_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.history);
        for position in positions {
            push_number(&mut bytes, position.index.0);
            // Behind a whole log entry, which is the usual place, is the shortest.
            push_number(&mut bytes, u64::from(position.ordinal.wrapping_add(1)));
        }
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn read(&self, text: &str) -> Result<Vec<FeedPosition>, BadToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken::Malformed)?;
        let (said, found) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(BadToken::Malformed)?;
        if *found != check(said) {
            return Err(BadToken::Malformed);
        }
        let (&[version], rest) = said.split_first_chunk::<1>().ok_or(BadToken::Malformed)?;
        let (history, mut rest) = rest.split_first_chunk::<HISTORY_BYTES>().ok_or(BadToken::Malformed)?;
        if version != VERSION {
            return Err(BadToken::Malformed);
        }
        if *history != self.history {
            return Err(BadToken::OtherHistory);
        }
        let mut positions = Vec::with_capacity(self.partitions);
        for _ in 0..self.partitions {
            let index = take_number(&mut rest).ok_or(BadToken::Malformed)?;
            let ordinal = take_number(&mut rest).and_then(|n| u32::try_from(n).ok()).ok_or(BadToken::Malformed)?;
            positions.push(FeedPosition { index: LogIndex(index), ordinal: ordinal.wrapping_sub(1) });
        }
        if rest.is_empty() { Ok(positions) } else { Err(BadToken::Malformed) }
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Sha256::digest(bytes);
    std::array::from_fn(|place| digest[place])
}

/// Seven bits in a byte, the lowest first; the highest bit says that more follow.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if place == 9 && part > 1 {
            return None;
        }
        number |= part << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::{collection::vec, prelude::any, proptest};

    fn tokens(history: &str, partitions: u16) -> Tokens {
        Tokens::of(&FeedsKnown { history: history.into(), partitions })
    }

    fn at((index, ordinal): (u64, u32)) -> FeedPosition {
        FeedPosition { index: LogIndex(index), ordinal }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(places in vec(any::<(u64, u32)>(), 1..70)) {
            let positions: Vec<_> = places.into_iter().map(at).collect();
            let tokens = tokens("h", u16::try_from(positions.len()).unwrap());
            assert_eq!(tokens.read(&tokens.written(&positions)), Ok(positions));
        }

        #[test]
        fn no_text_and_no_changed_token_is_taken(text in ".{0,60}", noise in vec(any::<u8>(), 0..60), at_bit in 0_usize..800) {
            let tokens = tokens("h", 3);
            assert!(tokens.read(&text).is_err());
            assert!(tokens.read(&URL_SAFE_NO_PAD.encode(&noise)).is_err());
            let good = tokens.written(&[at((7, 0)), at((70_000, 3)), FeedPosition::behind(LogIndex(9))]);
            let mut bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
            let place = at_bit / 8 % bytes.len();
            bytes[place] ^= 1 << (at_bit % 8);
            assert_eq!(tokens.read(&URL_SAFE_NO_PAD.encode(&bytes)), Err(BadToken::Malformed));
            assert_eq!(tokens.read(&good[..at_bit % good.len()]), Err(BadToken::Malformed));
        }
    }

    #[test]
    fn a_token_of_another_history_or_of_other_partitions_is_told_from_a_damaged_one() {
        let token = tokens("one", 2).written(&[at((1, 0)), at((2, 0))]);
        assert_eq!(tokens("two", 2).read(&token), Err(BadToken::OtherHistory));
        assert_eq!(tokens("one", 3).read(&token), Err(BadToken::OtherHistory));
    }

    #[test]
    fn a_token_stays_readable_and_short() {
        let positions = [FeedPosition::behind(LogIndex(1_000_000)), at((300, 2))];
        let tokens = tokens("0123456789abcdef", 2);
        let text = "AZXzJpyG6dGNwIQ9AKwCA-RTD5g";
        assert_eq!(tokens.written(&positions), text);
        assert_eq!(tokens.read(text), Ok(positions.to_vec()));
    }
}
