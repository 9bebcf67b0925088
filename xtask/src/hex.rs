//! Bytes as hexadecimal digits, and back.

/// Two digits for each byte, in lower case.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that the digits stand for; nothing if a character is none, or one is left over.
pub fn decode(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some((digit(high)? << 4) | digit(low)?),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        assert_eq!(encode(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(decode("001fFF").unwrap(), [0, 0x1f, 0xff]);
        assert_eq!(decode(""), Some(Vec::new()));
        for wrong in ["E0x", "E0xx", "0", "+1", "ä0"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
