//! Output of stages as text.

/// Decodes UTF-8 that comes in pieces, a character cut in two included.
#[derive(Debug, Default)]
pub(super) struct LossyDecoder {
    /// The beginning of a character whose end has not come yet, at most three bytes.
    rest: Vec<u8>,
}

impl LossyDecoder {
    /// Takes a piece, gives the characters that are complete.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut text = String::new();
        let mut done = 0;
        for chunk in self.rest.utf8_chunks() {
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let invalid = chunk.invalid();
            let is_last = done + invalid.len() == self.rest.len();
            if invalid.is_empty() || (is_last && is_cut_character(invalid)) {
                break;
            }
            text.push('\u{fffd}');
            done += invalid.len();
        }
        self.rest.drain(..done);
        text
    }

    /// Ends the text; the beginning of a character that never came to its end is shown as U+FFFD.
    pub(super) fn finish(&mut self) -> &'static str {
        let had_rest = !self.rest.is_empty();
        self.rest.clear();
        if had_rest { "\u{fffd}" } else { "" }
    }
}

/// Tells whether these bytes may be the beginning of a longer character.
fn is_cut_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_in_two_arrives_whole() {
        let mut decoder = LossyDecoder::default();
        assert_eq!(decoder.decode(b"gr\xc3"), "gr");
        assert_eq!(
            decoder.decode(b"\xbc\xff\xff!\xe2\x82"),
            "ü\u{fffd}\u{fffd}!"
        );
        assert_eq!(decoder.finish(), "\u{fffd}");
    }
}
