//! Cutting what was read at once into the chunks that were asked for.

use tremor_value::Bytes;

/// `block` in pieces of `max_bytes`, the last one of what is left; they share the block's memory.
pub(crate) fn pieces(mut block: Bytes, max_bytes: usize) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = block.split_to(block.len().min(max_bytes));
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_but_for_the_last() {
        let cut = |text: &'static str| pieces(text.into(), 3).collect::<Vec<_>>();
        assert_eq!(cut("abcdefgh"), ["abc", "def", "gh"]);
        assert_eq!(cut("abcdef"), ["abc", "def"]);
        assert!(cut("").is_empty());
    }
}
