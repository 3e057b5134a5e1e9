//! Where a list goes on, as clients hold it: a text that means nothing to them, and that is refused when it was not made
//! here for this very list.
//!
//! A cursor gives nobody a right: who holds one is authorized anew on each page. The checksum is there so that one which
//! was cut short, mixed up with another list's or taken to another cluster is told from one that goes on.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rollcall_contracts::ClientsQuestion;
use rollcall_presence::PagePlace;
use rollcall_types::ClientId;
use sha2::{Digest, Sha256};

/// The form written by this program.
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 12;
/// Longest part of an id that a cursor holds: base64 makes it a third longer, and it must fit into a request target. A
/// longer id is cut, and what begins with the part that is left counts as listed.
pub(crate) const CURSOR_ID_BYTES_MAX: usize = 32 * 1024;

/// Not a cursor of this list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadCursor;

/// Writes where `question`'s list goes on behind an id.
pub(crate) fn written(cluster: &str, question: &ClientsQuestion, behind: &ClientId) -> String {
    let id = behind.as_str();
    let after = &id[..id.floor_char_boundary(CURSOR_ID_BYTES_MAX)];
    let place = PagePlace { after: after.to_owned(), and_all_it_begins: after.len() < id.len() };
    let mut bytes = vec![VERSION, u8::from(place.and_all_it_begins)];
    bytes.extend_from_slice(&check(cluster, question, &place));
    bytes.extend_from_slice(place.after.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads where `question`'s list goes on.
pub(crate) fn read(cluster: &str, question: &ClientsQuestion, text: &str) -> Result<PagePlace, BadCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
    let (&[version, flag], rest) = bytes.split_first_chunk::<2>().ok_or(BadCursor)?;
    let (found, after) = rest.split_first_chunk::<CHECK_BYTES>().ok_or(BadCursor)?;
    if version != VERSION || flag > 1 {
        return Err(BadCursor);
    }
    let after = String::from_utf8(after.to_vec()).map_err(|_| BadCursor)?;
    let place = PagePlace { after, and_all_it_begins: flag == 1 };
    if *found == check(cluster, question, &place) { Ok(place) } else { Err(BadCursor) }
}

/// Over the cluster, the filters and the place, each with its length. The size of the page may change from page to page.
fn check(cluster: &str, question: &ClientsQuestion, place: &PagePlace) -> [u8; CHECK_BYTES] {
    let ClientsQuestion { prefix, node, username, online, since, from: _, limit: _ } = question;
    let mut hash = Sha256::new();
    let mut part = |bytes: Option<&[u8]>| {
        hash.update([u8::from(bytes.is_some())]);
        let bytes = bytes.unwrap_or_default();
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(Some(cluster.as_bytes()));
    part(Some(prefix.as_bytes()));
    part(node.as_ref().map(|node| node.0.as_bytes()));
    part(username.as_ref().map(|username| username.as_bytes()));
    part(online.map(u8::from).as_ref().map(std::slice::from_ref));
    part(since.map(|since| since.0.to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice));
    part(Some(&[VERSION, u8::from(place.and_all_it_begins)]));
    part(Some(place.after.as_bytes()));
    let digest = hash.finalize();
    std::array::from_fn(|place| digest[place])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::{collection::vec, prelude::any, proptest};
    use rollcall_types::{ClusterTime, NodeName};

    fn question() -> ClientsQuestion {
        ClientsQuestion { prefix: "dev".into(), online: Some(true), limit: 100, ..ClientsQuestion::default() }
    }

    fn id(text: &str) -> ClientId {
        ClientId::new(text).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(text in "[^\u{0}]{1,40}", limit in 1_usize..1000) {
            let cursor = written("lab", &question(), &id(&text));
            let read = read("lab", &ClientsQuestion { limit, ..question() }, &cursor);
            assert_eq!(read, Ok(PagePlace { after: text, and_all_it_begins: false }));
        }

        #[test]
        fn no_text_and_no_changed_cursor_is_taken(text in ".{0,60}", noise in vec(any::<u8>(), 0..60), at in 0_usize..80) {
            assert_eq!(read("lab", &question(), &text), Err(BadCursor));
            assert_eq!(read("lab", &question(), &URL_SAFE_NO_PAD.encode(&noise)), Err(BadCursor));
            let good = written("lab", &question(), &id("device/1"));
            let mut bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
            let place = at % bytes.len();
            bytes[place] ^= 1 << (at % 8);
            assert_eq!(read("lab", &question(), &URL_SAFE_NO_PAD.encode(&bytes)), Err(BadCursor));
            assert_eq!(read("lab", &question(), &good[..at % good.len()]), Err(BadCursor));
        }
    }

    #[test]
    fn a_cursor_of_another_list_or_cluster_is_refused() {
        let cursor = written("lab", &question(), &id("device/1"));
        assert!(read("lab", &question(), &cursor).is_ok());
        assert_eq!(read("other", &question(), &cursor), Err(BadCursor));
        let others = [
            ClientsQuestion { prefix: "de".into(), ..question() },
            ClientsQuestion { online: None, ..question() },
            ClientsQuestion { online: Some(false), ..question() },
            ClientsQuestion { username: Some(String::new()), ..question() },
            ClientsQuestion { node: Some(NodeName("n1".into())), ..question() },
            ClientsQuestion { since: Some(ClusterTime(0)), ..question() },
        ];
        for other in others {
            assert_eq!(read("lab", &other, &cursor), Err(BadCursor), "{other:?}");
        }
    }

    #[test]
    fn the_cursor_of_the_longest_id_fits_into_a_request_target() {
        let long = format!("{}ä{}", "x".repeat(CURSOR_ID_BYTES_MAX - 1), "y".repeat(30_000));
        let cursor = written("lab", &question(), &id(&long));
        assert!(cursor.len() < 50_000);
        let place = read("lab", &question(), &cursor).unwrap();
        assert!(place.and_all_it_begins);
        assert_eq!(place.after, "x".repeat(CURSOR_ID_BYTES_MAX - 1), "cut between characters");
    }
}
