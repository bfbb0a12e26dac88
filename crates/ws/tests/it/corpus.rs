//! What the fuzzer begins with, and its properties on generated input.

use proptest::prelude::*;
use std::{fs, path::Path};
use tremor_ws::testing::{
    answer_agrees, connect_agrees, connect_answer_agrees, extensions_agree, forwarded_agrees, frames_agree,
    inflating_agrees, messages_agree, proxy_header_agrees, request_agrees, utf8_agrees,
};

/// The files in `fuzz/seeds/<target>`.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() > 4, "{target} has too few files");
    files
}

#[test]
fn compressed_messages_of_the_corpus() {
    for data in corpus("deflate") {
        inflating_agrees(&data);
        for at in 0..data.len() {
            let mut broken = data.clone();
            broken[at] ^= 1 << (at % 8);
            inflating_agrees(&broken);
        }
    }
}

#[test]
fn offers_of_the_corpus() {
    for value in corpus("extensions") {
        for end in 0..=value.len() {
            extensions_agree(&value[..end]);
        }
    }
}

/// Calls `property` with every beginning of every file, and with every file with one bit changed in each place.
fn replay(target: &str, property: fn(&[u8])) {
    for data in corpus(target) {
        for end in 0..=data.len() {
            property(&data[..end]);
        }
        for at in 0..data.len() {
            let mut broken = data.clone();
            broken[at] ^= 1 << (at % 8);
            property(&broken);
        }
    }
}

#[test]
fn requests_of_the_corpus() {
    replay("request", request_agrees);
}

#[test]
fn headers_of_the_proxy_protocol_of_the_corpus() {
    replay("proxy_header", proxy_header_agrees);
    for mut data in corpus("proxy_header") {
        for choice in 0..3 {
            data[0] = choice;
            proxy_header_agrees(&data);
        }
    }
}

#[test]
fn words_of_proxies_of_the_corpus() {
    replay("forwarded", forwarded_agrees);
    for mut data in corpus("forwarded") {
        for choice in 0..64 {
            data[0] = choice;
            forwarded_agrees(&data);
        }
    }
}

#[test]
fn requests_by_http2_of_the_corpus() {
    replay("connect", connect_agrees);
}

#[test]
fn answers_by_http2_of_the_corpus() {
    replay("connect_answer", connect_answer_agrees);
}

#[test]
fn answers_of_the_corpus() {
    replay("answer", answer_agrees);
}

#[test]
fn frames_of_the_corpus() {
    replay("frames", frames_agree);
    for data in corpus("frames") {
        // The first byte chooses role and options.
        for choice in 0..128 {
            let mut data = data.clone();
            data[0] = choice;
            frames_agree(&data);
        }
    }
}

#[test]
fn messages_of_the_corpus() {
    replay("messages", messages_agree);
    for data in corpus("messages") {
        for choice in 0..=255 {
            let mut data = data.clone();
            data[0] = choice;
            messages_agree(&data);
        }
    }
}

#[test]
fn texts_of_the_corpus() {
    replay("utf8", utf8_agrees);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compressed_messages_of_any_bytes(data in prop::collection::vec(any::<u8>(), 0..200)) {
        inflating_agrees(&data);
    }

    #[test]
    fn offers_of_any_pieces(pieces in prop::collection::vec(prop::sample::select(vec![
        "permessage-deflate", "; ", ", ", "server_max_window_bits", "client_max_window_bits", "=", "9", "15", "8", "\"",
        "\\", "server_no_context_takeover", "client_no_context_takeover", "x", " ", "é",
    ]), 0..16)) {
        extensions_agree(pieces.concat().as_bytes());
    }

    #[test]
    fn answers_by_http2_of_any_pieces(pieces in prop::collection::vec(prop::sample::select(vec![
        "\nsec-websocket-protocol:", "\nsec-websocket-extensions:", "\nset-cookie:", "\nretry-after:", "\ncontent-length:", "\n",
        "\n\n", "one", "two", "permessage-deflate", "; ", ", ", "=", "\"", "x", " ", "\t", "5", "é", "\u{1}",
    ]), 0..16), status in prop::sample::select(vec!["200", "200", "200", "101", "204", "302", "503"])) {
        connect_answer_agrees(format!("{status}{}", pieces.concat()).as_bytes());
    }

    #[test]
    fn requests_by_http2_of_any_pieces(pieces in prop::collection::vec(prop::sample::select(vec![
        "\nsec-websocket-protocol:", "\nsec-websocket-extensions:", "\norigin:", "\nhost:", "\ncookie:", "\nx-a:", "\n", "one",
        "two", "a.example", "permessage-deflate", "client_max_window_bits", "; ", ", ", "=", "\"", "x", " ", "\t", "5", "é", "\u{1}",
    ]), 0..16), path in prop::sample::select(vec!["/", "/a?b=%41", "*", "/%"])) {
        let front = format!("CONNECT\nwebsocket\nhttps\na.example\n{path}\nsec-websocket-version:13");
        connect_agrees(format!("{front}{}", pieces.concat()).as_bytes());
    }
}
