//! How deep a tree's nodes nest, in one pass over its tokens.

/// Header word that says where the structure block begins.
const STRUCTURE_WORD: usize = 2;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// Levels of nodes, the root being one; None if the structure block is malformed.
///
/// Walking with the reader's own child lists would look at each node once per level above it.
pub fn depth(tree: &[u8]) -> Option<u32> {
    let (words, _) = tree.as_chunks();
    let word = |at: usize| words.get(at).copied().map(u32::from_be_bytes);
    let mut at = word(STRUCTURE_WORD)? as usize / 4;
    let (mut depth, mut deepest) = (0_u32, 0);
    loop {
        let token = word(at)?;
        at += 1;
        match token {
            BEGIN_NODE => {
                depth = depth.checked_add(1)?;
                deepest = deepest.max(depth);
                at += name_words(words.get(at..)?);
            }
            END_NODE => depth = depth.checked_sub(1)?,
            PROPERTY => at += 2 + (word(at)? as usize).div_ceil(4),
            END => return Some(deepest),
            _ => {}
        }
    }
}

/// Words that a name takes with its final zero: up to the first word with a zero byte.
fn name_words(words: &[[u8; 4]]) -> usize {
    let has_zero = |word: &[u8; 4]| word.contains(&0);
    words
        .iter()
        .position(has_zero)
        .map_or(words.len(), |last| last + 1)
}
