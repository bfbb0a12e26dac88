use crate::harness::{Linked, Seen, Subject, definition, json, within};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use tremor_connector::Definition;

const LINES: &str = r#"["separate"]"#;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn config(path: &Path, mode: &str) -> String {
    format!(r#"{{"path": {:?}, "mode": "{mode}"}}"#, path.to_str().unwrap())
}

fn reader(path: &Path) -> Definition {
    definition("file", &config(path, "read"), r#""string""#, LINES)
}

fn writer(path: &Path, mode: &str) -> Definition {
    let mut definition = definition("file", &config(path, mode), r#""string""#, "");
    definition.postprocessors = Some(json(LINES));
    definition
}

/// What a file at `path` holds after `lines` were written to it in `mode`.
async fn after_writing(path: &Path, mode: &str, lines: &[&str]) -> String {
    let mut subject = Subject::started(&writer(path, mode)).await;
    for line in lines {
        subject.give_to(0, (*line).into()).await;
    }
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    within(subject.handle.stop()).await;
    fs::read_to_string(path).unwrap()
}

fn pipe_in(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[tokio::test]
async fn a_file_is_read_line_by_line_to_its_end() {
    let folder = folder();
    let path = folder.path().join("in.txt");
    fs::write(&path, "one\n\nthree\nno newline").unwrap();
    let mut subject = Subject::started(&reader(&path)).await;
    let first = subject.next_event().await;
    assert_eq!(first.payload.value().as_str(), Some("one"));
    let meta = format!(r#"{{"file": {{"path": {:?}}}}}"#, path.to_str().unwrap());
    assert_eq!(first.meta, json(&meta));
    let origin = first.origin.unwrap().to_string();
    assert_eq!(origin, format!("tremor-file://here{}", path.to_str().unwrap()));
    assert_eq!(subject.next_value().await, r#""""#, "an empty line is an empty string");
    assert_eq!(subject.next_value().await, r#""three""#);
    let last = subject.next_event().await;
    assert_eq!((last.payload.value().as_str(), last.meta), (Some("no newline"), json(&meta).into()));
    subject.expect_done().await;
    within(subject.handle.drain()).await;
    within(subject.handle.stop()).await;
}

#[tokio::test]
async fn chunks_have_the_configured_size_and_an_empty_file_gives_nothing() {
    let folder = folder();
    let path = folder.path().join("in.bin");
    let content: Vec<u8> = (0..1_000_003_u32).map(|number| number.to_le_bytes()[0]).collect();
    for (content, chunk_size) in
        [(&content[..], 1_000), (&content[..], 300_000), (&content[..9], 3), (&[], 1)]
    {
        fs::write(&path, content).unwrap();
        let config = format!(
            r#"{{"path": {:?}, "mode": "read", "chunk_size": {chunk_size}}}"#,
            path.to_str().unwrap()
        );
        let mut subject = Subject::started(&definition("file", &config, r#""binary""#, "")).await;
        for expected in content.chunks(chunk_size) {
            let event = subject.next_event().await;
            assert!(event.payload.value().as_text_bytes() == Some(expected));
        }
        subject.expect_done().await;
    }
}

#[tokio::test]
async fn a_drain_waits_for_the_rest_of_the_file() {
    let folder = folder();
    let path = folder.path().join("in.txt");
    let content: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    fs::write(&path, content).unwrap();
    let mut subject = Subject::started(&reader(&path)).await;
    assert_eq!(subject.next_value().await, r#""0""#);
    within(subject.handle.drain()).await;
    for number in 1..100_000 {
        assert_eq!(subject.next_value().await, format!("\"{number}\""));
    }
    subject.expect_done().await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_which_file_and_why() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let inside = missing.join("file");
    for (definition, cause) in [
        (reader(&missing), format!("Failed to open file `{}`: No such file or directory", missing.display())),
        (reader(folder.path()), format!("Failed to open file `{}`: Is a directory", folder.path().display())),
        (
            writer(folder.path(), "write"),
            format!("Failed to open file `{}`: Is a directory", folder.path().display()),
        ),
        (writer(&inside, "append"), format!("; the directory `{}` does not exist", missing.display())),
    ] {
        let subject = Subject::new(&definition, Linked::Fully).unwrap();
        let error = within(subject.handle.start()).await.unwrap_err();
        assert!(error.contains(&cause), "{error}");
        within(subject.handle.stop()).await;
    }
}

#[tokio::test]
async fn modes_differ_in_what_becomes_of_what_was_there() {
    let folder = folder();
    let path = folder.path().join("out.txt");
    assert_eq!(after_writing(&path, "append", &["created"]).await, "created\n");
    assert_eq!(after_writing(&path, "append", &["more"]).await, "created\nmore\n");
    assert_eq!(after_writing(&path, "overwrite", &["over"]).await, "over\ned\nmore\n");
    assert_eq!(after_writing(&path, "write", &["a", "", "b"]).await, "a\n\nb\n");
    assert_eq!(after_writing(&path, "truncate", &[]).await, "");
}

#[tokio::test]
async fn a_single_event_is_in_the_file_while_the_flow_goes_on() {
    let folder = folder();
    let path = folder.path().join("out.txt");
    let mut subject = Subject::started(&writer(&path, "write")).await;
    subject.give(r#""at once""#).await;
    subject.written(1).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "at once\n");
    subject.give("7").await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "at once\n7\n");
}

#[tokio::test]
async fn a_pipe_gives_what_is_there_and_ends_with_its_writer() {
    let folder = folder();
    let path = pipe_in(&folder);
    let mut subject = Subject::started(&reader(&path)).await;
    let mut pipe = File::options().write(true).open(&path).unwrap();
    pipe.write_all(b"one\ntwo\n").unwrap();
    assert_eq!(subject.next_value().await, r#""one""#);
    assert_eq!(subject.next_value().await, r#""two""#);
    pipe.write_all(b"end").unwrap();
    drop(pipe);
    assert_eq!(subject.next_value().await, r#""end""#);
    subject.expect_done().await;
}

#[tokio::test]
async fn a_pending_read_holds_up_neither_drain_nor_stop() {
    let folder = folder();
    let path = pipe_in(&folder);
    let mut nobody_writes = Subject::started(&reader(&path)).await;
    within(nobody_writes.handle.drain()).await;
    nobody_writes.expect_done().await;
    within(nobody_writes.handle.stop()).await;
    let nobody_reads = Subject::new(&writer(&path, "write"), Linked::Fully).unwrap();
    let handle = nobody_reads.handle.clone();
    let starting = tokio::spawn(async move { handle.start().await });
    within(nobody_reads.handle.stop()).await;
    assert!(within(starting).await.unwrap().is_err());
}

#[tokio::test]
async fn a_lost_pipe_is_opened_again() {
    let folder = folder();
    let path = pipe_in(&folder);
    let mut definition = writer(&path, "write");
    definition.reconnect = Some(json(r#"{"retry": {"interval_ms": 1}}"#));
    let mut subject = Subject::new(&definition, Linked::Fully).unwrap();
    let opened = tokio::task::spawn_blocking({
        let path = path.clone();
        move || File::open(path).unwrap()
    });
    within(subject.handle.start()).await.unwrap();
    let mut first = within(opened).await.unwrap();
    subject.give(r#""first""#).await;
    subject.written(1).await;
    let mut seen = [0; 6];
    first.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"first\n");
    drop(first);
    subject.give(r#""lost""#).await;
    let mut status = subject.handle.watch();
    within(status.wait_for(|status| !status.connected)).await.unwrap();
    assert_eq!(subject.handle.taken().failed, 1);
    let opened = tokio::task::spawn_blocking(move || File::open(path).unwrap());
    within(status.wait_for(|status| status.connected)).await.unwrap();
    let mut second = within(opened).await.unwrap();
    subject.give(r#""again""#).await;
    subject.written(2).await;
    within(subject.handle.stop()).await;
    let mut rest = String::new();
    second.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "again\n");
}

#[tokio::test]
async fn a_full_device_fails_the_event() {
    let mut subject = Subject::started(&writer(Path::new("/dev/full"), "append")).await;
    subject.give("1").await;
    let mut status = subject.handle.watch();
    within(status.wait_for(|status| !status.connected)).await.unwrap();
    let taken = subject.handle.taken();
    assert_eq!((taken.written, taken.failed), (0, 1));
    within(subject.handle.stop()).await;
}

fn xz(text: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(text.as_bytes(), 1).read_to_end(&mut packed).unwrap();
    packed
}

fn gz(text: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

#[tokio::test]
async fn compressed_files_are_decompressed() {
    let folder = folder();
    let zst = |text: &str| zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    for (name, packed) in [
        ("in.xz", [xz("one\ntw"), xz("o\nthree\n")].concat()),
        ("in.gz", [gz("one\ntw"), gz("o\nthree\n")].concat()),
        ("in.zst", [zst("one\ntw"), zst("o\nthree\n")].concat()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, packed).unwrap();
        let mut subject = Subject::started(&reader(&path)).await;
        for line in [r#""one""#, r#""two""#, r#""three""#] {
            assert_eq!(subject.next_value().await, line, "{name}");
        }
        subject.expect_done().await;
    }
}

#[tokio::test]
async fn broken_compressed_data_ends_the_source() {
    let folder = folder();
    let text: String = (0..50_000).map(|number| format!("{number}\n")).collect();
    let cut_short = |mut packed: Vec<u8>| {
        packed.truncate(packed.len() - 20);
        packed
    };
    for (name, packed) in [
        ("cut.xz", cut_short(xz(&text))),
        ("cut.gz", cut_short(gz(&text))),
        ("cut.zst", cut_short(zstd::stream::encode_all(text.as_bytes(), 1).unwrap())),
        ("none.xz", b"this is no archive".to_vec()),
        ("behind.xz", [xz(&text), b"garbage".to_vec()].concat()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, packed).unwrap();
        let mut subject = Subject::started(&reader(&path)).await;
        let mut number = 0;
        loop {
            match subject.next().await {
                Seen::Event("out", event) => {
                    let line = format!("{number}");
                    assert_eq!(event.payload.value().as_str(), Some(&*line), "{name}: never half a line");
                    number += 1;
                }
                Seen::Drained(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(name == "none.xz" || number > 1_000, "{name}: what was good came, {number} lines");
        within(subject.handle.drain()).await;
    }
}

#[tokio::test]
async fn its_configuration_is_strict() {
    for (config, complaint) in [
        (r#"{"mode": "read"}"#, "config.path: missing"),
        (r#"{"path": "a"}"#, "config.mode: missing (one of `read`"),
        (r#"{"path": "a", "mode": "apend"}"#, "did you mean `append`?"),
        (r#"{"path": "a", "mode": "read", "chunk_size": 0}"#, "config.chunk_size: must be between 1"),
        (r#"{"path": "", "mode": "read"}"#, "config.path: expected path"),
        (r#"{"path": "a", "mode": "read", "size": 0}"#, "config.size: unknown key"),
    ] {
        let definition = definition("file", config, r#""json""#, "");
        let refused = Subject::new(&definition, Linked::Fully).err().unwrap();
        assert!(refused.message.contains(complaint), "{config}: {refused}");
    }
    let no_codec = definition("file", r#"{"path": "a", "mode": "read"}"#, "", "");
    assert!(Subject::new(&no_codec, Linked::Fully).err().unwrap().message.contains("is missing a codec"));
}
