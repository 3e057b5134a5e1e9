//! The frame around everything stored: a format version, a checksum over place and content, the content.
//!
//! The frame itself is the same for all versions, so that damage is told from a newer format: the checksum covers the
//! version, and is compared first.

/// The format version this program writes. Older ones are read for ever.
pub(crate) const FORMAT_VERSION: u8 = 1;

/// Bytes of the frame before the content: version, then CRC32 (little-endian).
pub(crate) const FRAME_BYTES: usize = 5;

/// Why sealed bytes cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("cut short")]
    Short,
    #[error("its checksum does not match its content")]
    Checksum,
    #[error("format version {0} is newer than this program knows ({FORMAT_VERSION})")]
    Newer(u8),
}

/// Where sealed bytes belong: bytes that turn up elsewhere do not match their checksum.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The kind of record or file.
    pub(crate) domain: &'static str,
    /// The place within the domain, in an unambiguous form.
    pub(crate) at: &'a [u8],
}

impl Place<'_> {
    fn checksum(self, version: u8, content: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(self.domain.as_bytes());
        crc.update(&[0, version]);
        crc.update(self.at);
        crc.update(content);
        crc.finalize()
    }

    /// Frames `content`.
    pub(crate) fn seal(self, content: &[u8]) -> Vec<u8> {
        self.seal_as(FORMAT_VERSION, content)
    }

    /// Frames `content` as another version would.
    pub(crate) fn seal_as(self, version: u8, content: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(FRAME_BYTES + content.len());
        sealed.push(version);
        sealed.extend_from_slice(&self.checksum(version, content).to_le_bytes());
        sealed.extend_from_slice(content);
        sealed
    }

    /// The content, if it is whole and of a known version.
    pub(crate) fn open(self, sealed: &[u8]) -> Result<&[u8], EnvelopeError> {
        let Some((&[version, a, b, c, d], content)) = sealed.split_first_chunk::<FRAME_BYTES>() else {
            return Err(EnvelopeError::Short);
        };
        if u32::from_le_bytes([a, b, c, d]) != self.checksum(version, content) {
            return Err(EnvelopeError::Checksum);
        }
        if version > FORMAT_VERSION {
            return Err(EnvelopeError::Newer(version));
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { domain: "test", at: &[1, 2] };

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = PLACE.seal(b"content");
        assert_eq!(PLACE.open(&sealed), Ok(b"content".as_slice()));
        for cut in 0..sealed.len() {
            assert!(PLACE.open(&sealed[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(PLACE.open(&flipped), Err(EnvelopeError::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn bytes_of_another_place_are_not_accepted() {
        let sealed = PLACE.seal(b"content");
        assert_eq!(Place { at: &[1, 3], ..PLACE }.open(&sealed), Err(EnvelopeError::Checksum));
        assert_eq!(Place { domain: "tes", ..PLACE }.open(&sealed), Err(EnvelopeError::Checksum));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let sealed = PLACE.seal_as(FORMAT_VERSION + 1, b"new");
        assert_eq!(PLACE.open(&sealed), Err(EnvelopeError::Newer(FORMAT_VERSION + 1)));
    }
}
