//! What a source replays: a file that is read completely and cut into events.

use crate::file::read::unpacked;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::{
    fs::File,
    io::{self, Read as _},
    num::NonZeroUsize,
    path::Path,
};
use tremor_value::Bytes;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the regular file at `path`, decompressed if its name says that it is compressed.
///
/// # Errors
/// Whatever the system says; pipes, devices and directories are refused, for they may never end.
pub(crate) fn load(path: &Path) -> io::Result<Bytes> {
    let mut data = Vec::new();
    unpacked(path, regular(path)?)?.read_to_end(&mut data)?;
    Ok(data.into())
}

/// Opens the regular file at `path`.
pub(crate) fn regular(path: &Path) -> io::Result<File> {
    // Looked at before it is opened: opening a pipe waits for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(path)
}

/// How the data is cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// At the end of every line.
    Lines,
    /// Every so many bytes.
    Chunks(NonZeroUsize),
}

/// Cuts `data`; the pieces share its memory. With `is_base64` every piece is decoded.
///
/// # Errors
/// Says which piece is not base64, counted from 1.
pub(super) fn cut(data: &Bytes, cut: Cut, is_base64: bool) -> Result<Vec<Bytes>, String> {
    let (pieces, word): (Vec<Bytes>, _) = match cut {
        Cut::Lines => (lines(data).collect(), "line"),
        Cut::Chunks(size) => (data.chunks(size.get()).map(|chunk| data.slice_ref(chunk)).collect(), "chunk"),
    };
    if !is_base64 {
        return Ok(pieces);
    }
    let decode = |(index, piece): (usize, &Bytes)| {
        let decoded = BASE64.decode(piece);
        decoded.map(Bytes::from).map_err(|error| format!("{word} {} is not base64: {error}", index + 1))
    };
    pieces.iter().enumerate().map(decode).collect()
}

/// The lines of `data` without their ends, which are `\n` or `\r\n`; the last one may lack its end.
pub(crate) fn lines(data: &Bytes) -> impl Iterator<Item = Bytes> + Send + use<> {
    let mut rest = data.clone();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', &rest);
        let mut line = rest.split_to(end.map_or(rest.len(), |end| end + 1));
        if line.ends_with(b"\n") {
            line.truncate(line.len() - 1);
            if line.ends_with(b"\r") {
                line.truncate(line.len() - 1);
            }
        }
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn cut_text(text: &'static str, how: Cut, is_base64: bool) -> Result<Vec<Bytes>, String> {
        cut(&Bytes::from_static(text.as_bytes()), how, is_base64)
    }

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let lines = |text| cut_text(text, Cut::Lines, false).unwrap();
        assert_eq!(lines("a\nb\r\n\n c "), ["a", "b", "", " c "]);
        assert_eq!(lines("a\n"), ["a"]);
        assert_eq!(lines("\n"), [""]);
        assert_eq!(lines("a\r"), ["a\r"], "without a line feed it belongs to the text");
        assert!(lines("").is_empty());
    }

    #[test]
    fn chunks_are_whole_but_for_the_last() {
        let chunks = |text| cut_text(text, Cut::Chunks(NonZeroUsize::new(3).unwrap()), false).unwrap();
        assert_eq!(chunks("abc\nefg"), ["abc", "\nef", "g"]);
        assert!(chunks("").is_empty());
    }

    #[test]
    fn every_piece_is_base64_for_itself() {
        assert_eq!(cut_text("aGk=\naG8\n", Cut::Lines, true).unwrap(), ["hi", "ho"]);
        let four = Cut::Chunks(NonZeroUsize::new(4).unwrap());
        assert_eq!(cut_text("aGk=aG8", four, true).unwrap(), ["hi", "ho"]);
        assert!(cut_text("aGk=\n!\n", Cut::Lines, true).unwrap_err().starts_with("line 2 is not base64: "));
    }

    #[test]
    fn only_regular_files_are_read_and_compressed_ones_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap_err().to_string(), "it is not a regular file");
        assert_eq!(load(Path::new("/dev/zero")).unwrap_err().to_string(), "it is not a regular file");
        assert_eq!(load(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let packed = folder.path().join("a.json.xz");
        let mut encoder = liblzma::write::XzEncoder::new(File::create(&packed).unwrap(), 1);
        io::Write::write_all(&mut encoder, b"1\n2\n").unwrap();
        encoder.finish().unwrap();
        assert_eq!(load(&packed).unwrap(), "1\n2\n");
        let whole = fs::read(&packed).unwrap();
        let cut = whole.get(..whole.len() - 4).unwrap();
        for broken in [b"no xz", cut, b""] {
            fs::write(&packed, broken).unwrap();
            let told = load(&packed).unwrap_err().to_string();
            assert!(told.starts_with("it is no complete xz file: "), "{told}");
        }
        fs::write(&packed, "this is text and no xz file at all").unwrap();
        let told = load(&packed).unwrap_err().to_string();
        assert!(told.starts_with("it cannot be read as xz: "), "{told}");
    }
}
