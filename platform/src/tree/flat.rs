//! The flattened form of a tree (Devicetree Specification 0.4, 5): its header, and what the structure block says.

pub const HEADER_BYTES: usize = 40;
/// An entry of the list of reserved memory: address and length. An entry of zeros ends the list.
pub const RESERVATION_BYTES: usize = 16;

pub(super) const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
/// The oldest version that a reader of this one must know.
const COMPATIBLE: u32 = 16;

const BEGIN: u32 = 1;
const END: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const FINISH: u32 = 9;

/// A tree as words of four bytes, by which all but names and values is aligned.
pub type Words<'a> = &'a [[u8; 4]];

/// What the header says of the parts: where they begin, and lengths, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub structure_at: usize,
    pub strings_at: usize,
    pub reservations_at: usize,
    pub boot_pir: u32,
    pub strings_bytes: usize,
}

impl Header {
    /// None: the tree is too short to have one.
    #[must_use]
    pub fn of(tree: &[u8]) -> Option<Self> {
        let (words, _) = tree.get(..HEADER_BYTES)?.as_chunks();
        let word = |at: usize| u32::from_be_bytes(words[at]);
        Some(Self {
            structure_at: word(2) as usize,
            strings_at: word(3) as usize,
            reservations_at: word(4) as usize,
            boot_pir: word(7),
            strings_bytes: word(8) as usize,
        })
    }

    /// Of a tree with these parts one after the other: reserved memory with its last entry, structure block, strings.
    #[must_use]
    pub const fn in_order(
        reservations_bytes: usize,
        structure_bytes: usize,
        strings_bytes: usize,
        boot_pir: u32,
    ) -> Self {
        let structure_at = HEADER_BYTES + reservations_bytes;
        Self {
            structure_at,
            strings_at: structure_at + structure_bytes,
            reservations_at: HEADER_BYTES,
            boot_pir,
            strings_bytes,
        }
    }

    /// Length of a tree whose parts are in order.
    #[must_use]
    pub const fn tree_bytes(&self) -> usize {
        self.strings_at + self.strings_bytes
    }

    /// As it is in a tree whose parts are in order.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let words = [
            MAGIC,
            self.tree_bytes() as u32,
            self.structure_at as u32,
            self.strings_at as u32,
            self.reservations_at as u32,
            VERSION,
            COMPATIBLE,
            self.boot_pir,
            self.strings_bytes as u32,
            (self.strings_at - self.structure_at) as u32,
        ];
        let mut bytes = [0; HEADER_BYTES];
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.to_be_bytes();
        }
        bytes
    }
}

/// A step of the structure block. What it leaves out says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A node begins.
    Begin { name: &'a [u8] },
    /// `name_at` counts from the beginning of the strings.
    Property { name_at: u32, value: &'a [u8] },
    /// The node ends that has begun last.
    End,
    /// The tree ends.
    Finish,
}

impl Token<'_> {
    /// As it is in a structure block. Names and values follow.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 4] {
        match self {
            Self::Begin { .. } => BEGIN,
            Self::Property { .. } => PROPERTY,
            Self::End => END,
            Self::Finish => FINISH,
        }
        .to_be_bytes()
    }
}

/// The steps of a structure block, one after the other; None where it is malformed.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    words: Words<'a>,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// From the word `at` on.
    #[must_use]
    pub const fn new(words: Words<'a>, at: usize) -> Self {
        Self { words, at }
    }

    /// The word that comes next.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    fn word(&mut self) -> Option<u32> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(u32::from_be_bytes(*word))
    }

    /// With its final zero it takes whole words.
    fn name(&mut self) -> Option<&'a [u8]> {
        let rest = self.words.get(self.at..)?;
        let last = rest.iter().position(|word| has_zero(*word))?;
        self.at += last + 1;
        let name = rest[..=last].as_flattened();
        let zero = rest[last].iter().position(|&byte| byte == 0)?;
        name.get(..last * 4 + zero)
    }

    fn value(&mut self, len_bytes: usize) -> Option<&'a [u8]> {
        let words = self.words.get(self.at..)?.get(..len_bytes.div_ceil(4))?;
        self.at += words.len();
        words.as_flattened().get(..len_bytes)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            match self.word()? {
                BEGIN => return Some(Token::Begin { name: self.name()? }),
                PROPERTY => {
                    let (len_bytes, name_at) = (self.word()? as usize, self.word()?);
                    let value = self.value(len_bytes)?;
                    return Some(Token::Property { name_at, value });
                }
                END => return Some(Token::End),
                FINISH => return Some(Token::Finish),
                NOP => {}
                _ => return None,
            }
        }
    }
}

const fn has_zero(word: [u8; 4]) -> bool {
    const ONES: u32 = u32::from_ne_bytes([1; 4]);
    const TOPS: u32 = u32::from_ne_bytes([0x80; 4]);
    let word = u32::from_ne_bytes(word);
    word.wrapping_sub(ONES) & !word & TOPS != 0
}
