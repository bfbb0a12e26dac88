//! The files of `seeds/frames`, and every class of difference.

use crate::{same_as_fastwebsockets, same_as_soketto};

#[test]
fn the_corpus_means_the_same_everywhere() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/frames");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let data = std::fs::read(file.unwrap().path()).unwrap();
        for end in 0..=data.len() {
            for role in 0..2 {
                let mut data = data[..end].to_vec();
                if let Some(first) = data.first_mut() {
                    *first = role;
                }
                same_as_fastwebsockets(&data);
                same_as_soketto(&data);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count} cases");
}
