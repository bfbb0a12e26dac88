//! Masking of payloads.

/// Masks or unmasks `payload` in place, byte `i` with `key[(offset + i) % 4]`.
///
/// `offset` counts the payload bytes of this frame already seen, so a frame may arrive in pieces.
/// Applying it twice gives the input back. Source: RFC 6455, section 5.3.
pub fn mask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let [a, b, c, d] = key;
    let [a, b, c, d] = match offset % 4 {
        0 => [a, b, c, d],
        1 => [b, c, d, a],
        2 => [c, d, a, b],
        _ => [d, a, b, c],
    };
    // Eight bytes are a whole number of key lengths, so the key does not move between words; the compiler turns
    // this loop into vector instructions.
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip([a, b, c, d].into_iter().cycle()) {
        *byte ^= key_byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(payload: &mut [u8], key: [u8; 4], offset: usize) {
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[(offset + index) % 4];
        }
    }

    #[test]
    fn agrees_with_the_plain_loop_at_every_alignment_and_length() {
        let source: Vec<u8> = (0..=255).collect();
        let key = [0x11, 0x82, 0xf3, 0x04];
        for start in 0..17 {
            for len in 0..80 {
                for offset in 0..9 {
                    let mut wide = source.clone();
                    let mut narrow = source.clone();
                    mask(&mut wide[start..start + len], key, offset);
                    plain(&mut narrow[start..start + len], key, offset);
                    assert_eq!(wide, narrow, "start {start}, len {len}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn twice_is_nothing_and_a_zero_key_changes_nothing() {
        let source: Vec<u8> = (0..100).collect();
        let mut bytes = source.clone();
        mask(&mut bytes, [9, 8, 7, 6], 3);
        assert_ne!(bytes, source);
        mask(&mut bytes, [9, 8, 7, 6], 3);
        mask(&mut bytes, [0; 4], 1);
        assert_eq!(bytes, source);
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let mut whole: Vec<u8> = (0..50).collect();
        let mut pieces = whole.clone();
        mask(&mut whole, [1, 2, 3, 4], 0);
        let (first, second) = pieces.split_at_mut(13);
        mask(first, [1, 2, 3, 4], 0);
        mask(second, [1, 2, 3, 4], 13);
        assert_eq!(whole, pieces);
    }
}
