//! How an input is damaged.

use crate::random::Random;

/// Bytes on which readers of lengths, flags and text stumble.
const ODD: [u8; 12] = [0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xC0, 0xED, 0xFE, 0xFF, b'/', b'#'];
/// Changes of one input.
const CHANGES_MAX: usize = 6;
/// Bytes put in or doubled by one change.
const PIECE_MAX: usize = 64;
/// One input in so many is made of nothing but chance.
const PURE_CHANCE: usize = 32;

/// An input made from one of the pool.
pub(crate) fn next(pool: &[Vec<u8>], bytes_max: usize, random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| pool.get(random.below(pool.len())).cloned().unwrap_or_default();
    let mut input = any(random);
    if random.below(PURE_CHANCE) == 0 {
        let len = random.below(bytes_max.min(4 * PIECE_MAX) + 1);
        input = (0..len).map(|_| random.byte()).collect();
    }
    for _ in 0..=random.below(CHANGES_MAX) {
        change(&mut input, random, any);
    }
    input.truncate(bytes_max);
    input
}

fn change(input: &mut Vec<u8>, random: &mut Random, any: impl Fn(&mut Random) -> Vec<u8>) {
    let place = random.below(input.len());
    let piece = place..(place + 1 + random.below(PIECE_MAX)).min(input.len());
    match (random.below(10), input.get_mut(place)) {
        (0, Some(byte)) => *byte ^= 1 << random.below(8),
        (1, Some(byte)) => *byte = ODD[random.below(ODD.len())],
        (2, Some(byte)) => *byte = random.byte(),
        // A length that is a little off.
        (3, Some(byte)) => *byte = byte.wrapping_add(1),
        (4, Some(byte)) => *byte = byte.wrapping_sub(1),
        (5, Some(_)) => input.truncate(place),
        (6, Some(_)) => drop(input.drain(piece)),
        (7, Some(_)) => {
            let doubled = input[piece].to_vec();
            drop(input.splice(place..place, doubled));
        }
        // The head of one and the tail of another.
        (8, _) => {
            let other = any(random);
            let from = random.below(other.len() + 1);
            input.truncate(place);
            input.extend(&other[from..]);
        }
        _ => {
            let put_in: Vec<u8> = (0..1 + random.below(PIECE_MAX / 8)).map(|_| random.byte()).collect();
            drop(input.splice(place..place, put_in));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_stay_within_their_length_and_hold_both_examples_and_chance() {
        let pool = [b"example of some length".to_vec(), Vec::new()];
        let mut random = Random::new(3);
        let inputs: Vec<_> = (0..2000).map(|_| next(&pool, 40, &mut random)).collect();
        assert!(inputs.iter().all(|input| input.len() <= 40));
        assert!(inputs.iter().any(|input| input.starts_with(b"example")));
        assert!(inputs.iter().any(|input| input.len() == 40 && !input.starts_with(b"ex")));
        assert!(inputs.iter().any(Vec::is_empty));
    }
}
