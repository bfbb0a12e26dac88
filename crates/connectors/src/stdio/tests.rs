//! The streams of a process, with pipes in their place.

use super::{Hub, Screen, input::Block, streams::Patient};
use crate::output::Output;
use std::{
    io::{PipeReader, PipeWriter, Read as _, Write as _, pipe},
    os::fd::OwnedFd,
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};
use tremor_codec::Chunks;
use tremor_connector::{ByteSink as _, ExitRequest, ExitSwitch, SinkError};

struct Ends {
    hub: Hub,
    input: PipeWriter,
    output: PipeReader,
    error: PipeReader,
}

fn piped() -> Ends {
    let (input_reader, input) = pipe().unwrap();
    let (output, output_writer) = pipe().unwrap();
    let (error, error_writer) = pipe().unwrap();
    let hub = Hub::new(
        Patient::from(OwnedFd::from(input_reader)),
        Patient::from(OwnedFd::from(output_writer)),
        Patient::from(OwnedFd::from(error_writer)),
    );
    Ends { hub: hub.unwrap(), input, output, error }
}

async fn within<T>(waiting: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(150), waiting).await.expect("it takes too long")
}

async fn next(subscription: &mut super::Subscription) -> Option<String> {
    let block: Option<Block> = within(subscription.recv()).await;
    block.map(|block| String::from_utf8(block.unwrap().to_vec()).unwrap())
}

fn screen(hub: &Hub) -> (Screen, UnboundedReceiver<ExitRequest>) {
    let (exit, requests) = ExitSwitch::new();
    let (output, error) = (Output::new(hub.output.clone()), Output::new(hub.error.clone()));
    let alias = "main::console".to_owned();
    (Screen { output, error, exit, alias, is_gone: false }, requests)
}

fn chunks(texts: &[&str]) -> Chunks {
    let mut chunks = Chunks::new();
    texts.iter().for_each(|text| chunks.push(text.as_bytes()));
    chunks
}

#[tokio::test]
async fn what_came_before_any_subscriber_is_for_the_first_one() {
    let mut ends = piped();
    ends.input.write_all(b"early").unwrap();
    let mut first = ends.hub.input.subscribe().unwrap();
    assert_eq!(next(&mut first).await.as_deref(), Some("early"));
}

#[tokio::test]
async fn every_subscriber_gets_everything_from_when_it_came() {
    let mut ends = piped();
    let mut first = ends.hub.input.subscribe().unwrap();
    let mut second = ends.hub.input.subscribe().unwrap();
    ends.input.write_all(b"one").unwrap();
    assert_eq!(next(&mut first).await.as_deref(), Some("one"));
    ends.input.write_all(b"two").unwrap();
    assert_eq!(next(&mut first).await.as_deref(), Some("two"));
    assert_eq!(next(&mut second).await.as_deref(), Some("one"), "a slow one loses nothing");
    assert_eq!(next(&mut second).await.as_deref(), Some("two"));
    drop(ends.input);
    assert_eq!(next(&mut first).await, None);
    assert_eq!(next(&mut second).await, None);
    let mut late = ends.hub.input.subscribe().unwrap();
    assert_eq!(next(&mut late).await, None, "the end stays the end");
}

#[tokio::test]
async fn what_nobody_took_waits_for_the_next_one() {
    let mut ends = piped();
    let mut first = ends.hub.input.subscribe().unwrap();
    ends.input.write_all(b"one").unwrap();
    assert_eq!(next(&mut first).await.as_deref(), Some("one"));
    drop(first);
    ends.input.write_all(b"two").unwrap();
    let mut second = ends.hub.input.subscribe().unwrap();
    assert_eq!(next(&mut second).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn the_ports_lead_to_their_streams_and_a_flush_shows_everything() {
    let ends = piped();
    let (mut screen, _requests) = screen(&ends.hub);
    screen.write(0, &mut chunks(&["to ", "output\n"])).await.unwrap();
    screen.write(1, &mut chunks(&["to error\n"])).await.unwrap();
    screen.flush().await.unwrap();
    let (mut output, mut error) = (ends.output, ends.error);
    let (mut shown, mut complained) = ([0; 10], [0; 9]);
    output.read_exact(&mut shown).unwrap();
    error.read_exact(&mut complained).unwrap();
    assert_eq!((&shown, &complained), (b"to output\n", b"to error\n"));
}

#[tokio::test]
async fn writers_do_not_tear_each_others_batches_apart() {
    const BATCHES: usize = 200;
    let ends = piped();
    let mut writers = Vec::new();
    for mark in ["a", "b"] {
        let (mut screen, _requests) = screen(&ends.hub);
        let batch = chunks(&[&mark.repeat(3_000), &mark.repeat(3_000), "\n"]);
        writers.push(tokio::spawn(async move {
            for _ in 0..BATCHES {
                screen.write(0, &mut batch.clone()).await.unwrap();
                screen.flush().await.unwrap();
            }
        }));
    }
    let mut output = ends.output;
    let reading = tokio::task::spawn_blocking(move || {
        let mut all = vec![0; 2 * BATCHES * 6_001];
        output.read_exact(&mut all).unwrap();
        String::from_utf8(all).unwrap()
    });
    let all = within(reading).await.unwrap();
    for line in all.lines() {
        assert!(line == "a".repeat(6_000) || line == "b".repeat(6_000), "a batch was torn apart");
    }
    for writer in writers {
        within(writer).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_process_quietly_and_once() {
    let ends = piped();
    let (mut screen, mut requests) = screen(&ends.hub);
    drop(ends.output);
    for _ in 0..2 {
        screen.write(0, &mut chunks(&["unseen"])).await.unwrap();
        let error = screen.flush().await.unwrap_err();
        assert!(matches!(error, SinkError::Gone(_)), "{error}");
    }
    assert_eq!(requests.try_recv().unwrap(), ExitRequest { graceful: true, code: 0 });
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn nobody_listening_to_errors_does_not_end_the_process() {
    let ends = piped();
    let (mut screen, mut requests) = screen(&ends.hub);
    drop(ends.error);
    screen.write(1, &mut chunks(&["unheard"])).await.unwrap();
    assert!(screen.flush().await.is_err());
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn streams_that_another_program_made_non_blocking_work_all_the_same() {
    let (reader, mut input) = pipe().unwrap();
    let (mut output, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let (_, error) = pipe().unwrap();
    let [reader, writer, error] = [OwnedFd::from(reader), writer.into(), error.into()].map(Patient::from);
    let hub = Hub::new(reader, writer, error).unwrap();

    let mut subscription = hub.input.subscribe().unwrap();
    input.write_all(b"patience").unwrap();
    assert_eq!(next(&mut subscription).await.as_deref(), Some("patience"));

    let (mut screen, _requests) = screen(&hub);
    // More than a pipe holds, so that the writer has to wait.
    let large = "x".repeat(1_000_000);
    let reading = tokio::task::spawn_blocking(move || {
        let mut all = vec![0; 1_000_000];
        output.read_exact(&mut all).unwrap();
        all
    });
    screen.write(0, &mut chunks(&[&large])).await.unwrap();
    within(screen.flush()).await.unwrap();
    assert!(within(reading).await.unwrap() == large.as_bytes());
}
