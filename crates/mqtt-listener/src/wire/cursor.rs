//! Walks over the fields of a packet without decoding them.

/// What is left of a packet's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(&'a [u8]);

/// The packet ends inside a field, or a field is not well formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Short;

impl<'a> Cursor<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Cursor(body)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes left.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn starts_with(&self, bytes: &[u8]) -> bool {
        self.0.starts_with(bytes)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Short> {
        let (byte, rest) = self.0.split_first().ok_or(Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(crate) fn two_bytes(&mut self) -> Result<u16, Short> {
        match self.take(2)? {
            [high, low] => Ok(u16::from_be_bytes([*high, *low])),
            _ => Err(Short),
        }
    }

    /// Binary data or a string: two bytes of length, then the bytes.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Short> {
        let len = self.two_bytes()?;
        self.take(usize::from(len))
    }

    /// Text: UTF-8 without U+0000 (MQTT-1.5.4-1, -2).
    pub(crate) fn text(&mut self) -> Result<&'a str, Short> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Short)?;
        if text.as_bytes().contains(&0) { Err(Short) } else { Ok(text) }
    }

    /// A packet identifier; `None` for 0, which is none (MQTT-2.2.1-3).
    pub(crate) fn packet_id(&mut self) -> Result<Option<std::num::NonZeroU16>, Short> {
        self.two_bytes().map(std::num::NonZeroU16::new)
    }

    /// A variable byte integer (MQTT 5.0, 1.5.5).
    pub(crate) fn variable(&mut self) -> Result<usize, Short> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return if place > 0 && byte == 0 { Err(Short) } else { Ok(value) };
            }
        }
        Err(Short)
    }

    /// Properties: a variable byte integer of length, then the bytes.
    pub(crate) fn properties(&mut self) -> Result<&'a [u8], Short> {
        let len = self.variable()?;
        self.take(len)
    }
}

/// Whether text holds a control character or a non-character, which a receiver may refuse (MQTT 5.0, 1.5.4).
pub(crate) fn has_unwanted_character(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || u32::from(c) & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c))
}

/// Which names are taken: client ids, user names, topics and filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Names {
    /// Any text that MQTT allows; devices in the field send control characters.
    Any,
    /// None with a character that a receiver may refuse, as outside test suites expect.
    Plain,
}

impl Names {
    /// A name off the cursor.
    pub(crate) fn take<'a>(self, cursor: &mut Cursor<'a>) -> Result<&'a str, Short> {
        let name = cursor.text()?;
        if self.allows(name) { Ok(name) } else { Err(Short) }
    }

    pub(crate) fn allows(self, name: &str) -> bool {
        self == Names::Any || !has_unwanted_character(name)
    }
}
