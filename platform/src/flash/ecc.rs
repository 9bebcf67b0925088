//! The error-correcting code of a POWER8's flash: a byte for each eight of data, which corrects one bit
//! of the 72 and notices two.
//!
//! Bit `i` of the code is the parity of the data (read as a big-endian number) under a mask; the masks
//! are one number, rotated a byte further each. (Shown by what `ffspart` of OPAL's tools writes.)

/// Bytes that one byte of code stands for.
pub const DATA_BYTES: usize = 8;
/// Data and code, as they lie in flash.
pub const CODED_BYTES: usize = DATA_BYTES + 1;

/// Selects the data bits of the code's lowest bit.
const FIRST_MASK: u64 = 0x0000_e842_3c0f_99ff;

const MASKS: [u64; 8] = {
    let mut masks = [0; 8];
    let mut bit = 0;
    while bit < 8 {
        masks[bit] = FIRST_MASK.rotate_left(8 * bit as u32);
        bit += 1;
    }
    masks
};

/// By bit of the data, lowest first: what the code changes by if that bit does.
const COLUMNS: [u8; 64] = {
    let mut columns = [0; 64];
    let mut bit = 0;
    while bit < 64 {
        columns[bit] = code(1 << bit);
        bit += 1;
    }
    columns
};

/// What eight bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Sound(u64),
    /// One bit was wrong, in the data or in the code.
    Corrected(u64),
    /// Data and code are all ones: erased flash, never written.
    Blank,
    /// More bits are wrong than the code can tell apart.
    Lost,
}

/// The code of eight bytes.
#[must_use]
pub const fn code(data: u64) -> u8 {
    let mut code = 0;
    let mut bit = 0;
    while bit < 8 {
        let parity = (data & MASKS[bit]).count_ones() & 1;
        code |= (parity as u8) << bit;
        bit += 1;
    }
    code
}

/// Eight bytes, read with their code.
#[must_use]
pub fn decode(coded: [u8; CODED_BYTES]) -> Word {
    let [data @ .., stored] = coded;
    let data = u64::from_be_bytes(data);
    let syndrome = code(data) ^ stored;
    if syndrome == 0 {
        return Word::Sound(data);
    }
    if data == u64::MAX && stored == u8::MAX {
        return Word::Blank;
    }
    if syndrome.is_power_of_two() {
        return Word::Corrected(data);
    }
    match COLUMNS.iter().position(|&column| column == syndrome) {
        Some(bit) => Word::Corrected(data ^ 1 << bit),
        None => Word::Lost,
    }
}

/// Eight bytes with their code, as they are written.
#[must_use]
pub fn encode(data: u64) -> [u8; CODED_BYTES] {
    let mut coded = [0; CODED_BYTES];
    coded[..DATA_BYTES].copy_from_slice(&data.to_be_bytes());
    coded[DATA_BYTES] = code(data);
    coded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flipped(mut coded: [u8; CODED_BYTES], bit: usize) -> [u8; CODED_BYTES] {
        coded[bit / 8] ^= 1 << (bit % 8);
        coded
    }

    #[test]
    fn the_code_is_that_of_others_tools() {
        assert_eq!(code(u64::from_be_bytes(*b"test 1.0")), 0x76);
        assert_eq!((code(0), code(u64::MAX)), (0, 0));
    }

    #[test]
    fn columns_are_apart_and_no_bit_of_the_code() {
        for (bit, column) in COLUMNS.iter().enumerate() {
            assert!(column.count_ones() > 1, "{bit}");
            assert!(!COLUMNS[..bit].contains(column), "{bit}");
        }
    }

    #[test]
    fn erased_flash_is_blank_and_nothing_else_is() {
        assert_eq!(decode([0xff; CODED_BYTES]), Word::Blank);
        for bit in 0..72 {
            assert_ne!(
                decode(flipped([0xff; CODED_BYTES], bit)),
                Word::Blank,
                "{bit}"
            );
        }
        assert_eq!(decode([0; CODED_BYTES]), Word::Sound(0));
    }

    proptest! {
        #[test]
        fn one_wrong_bit_is_corrected_and_two_are_noticed(data: u64) {
            let coded = encode(data);
            prop_assert_eq!(decode(coded), Word::Sound(data));
            for bit in 0..72 {
                let once = flipped(coded, bit);
                prop_assert_eq!(decode(once), Word::Corrected(data));
                for other in 0..bit {
                    let word = decode(flipped(once, other));
                    prop_assert!(matches!(word, Word::Lost | Word::Blank), "{} {}", bit, other);
                }
            }
        }
    }
}
