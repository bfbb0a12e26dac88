//! When attempts are made, and what happens when there are no more.

use crate::fake::{Ends, Step, Subject, refused, within};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tremor_codec::testing::Log;
use tremor_connector::{ConnectError, State};

const THREE_TRIES: &str =
    r#"{"retry": {"interval_ms": 500, "growth_rate": 2, "max_retries": 3, "randomized": false}}"#;
const FOR_EVER: &str = r#"{"retry": {"interval_ms": 500, "growth_rate": 1, "randomized": false}}"#;

type Times = Arc<Mutex<Vec<Instant>>>;

/// Milliseconds between `start` and each of `times`.
fn since(start: Instant, times: &Times) -> Vec<u128> {
    times.lock().unwrap().iter().map(|at| at.duration_since(start).as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn three_attempts_and_one_clear_message() {
    let times = Times::default();
    let noted = times.clone();
    let subject = Subject::halves(
        THREE_TRIES,
        Box::new(move |_| {
            noted.lock().unwrap().push(Instant::now());
            Box::pin(async { refused() })
        }),
    );
    let start = Instant::now();
    let failure = within(subject.handle.start()).await.unwrap_err();
    assert_eq!(since(start, &times), [0, 500, 1500]);
    let alias = subject.handle.alias();
    assert_eq!(
        failure,
        format!("{alias} Connection failed after 3 tries: cannot connect to nowhere: nobody is there")
    );
    let status = subject.handle.status();
    assert_eq!((status.state, status.connected, status.failure), (State::Failed, false, Some(failure)));
    assert_eq!(subject.before.now(), None, "upstream stays closed");
    sleep(Duration::from_secs(1000)).await;
    assert_eq!(times.lock().unwrap().len(), 3);
    within(subject.handle.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_there_is_one_attempt() {
    let subject = Subject::halves(r#""none""#, Box::new(|_| Box::pin(async { refused() })));
    let failure = within(subject.handle.start()).await.unwrap_err();
    assert!(failure.contains("Connection failed after 1 try: "), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_suspends_attempts_and_a_resume_makes_one_at_once() {
    let times = Times::default();
    let noted = times.clone();
    let subject = Subject::halves(
        FOR_EVER,
        Box::new(move |_| {
            noted.lock().unwrap().push(Instant::now());
            Box::pin(async { refused() })
        }),
    );
    let handle = subject.handle.clone();
    tokio::spawn(async move { handle.start().await });
    subject.reaches(State::Running).await;
    sleep(Duration::from_millis(600)).await;
    subject.handle.pause();
    subject.reaches(State::Paused).await;
    let before = times.lock().unwrap().len();
    assert_eq!(before, 2);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(times.lock().unwrap().len(), before);
    let resumed = Instant::now();
    subject.handle.resume();
    subject.reaches(State::Running).await;
    sleep(Duration::from_millis(1)).await;
    let last = *times.lock().unwrap().last().unwrap();
    assert!(last.duration_since(resumed) <= Duration::from_millis(1));
    within(subject.handle.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_gets_it() {
    let times = Times::default();
    let noted = times.clone();
    let subject = Subject::halves(
        THREE_TRIES,
        Box::new(move |attempt| {
            noted.lock().unwrap().push(Instant::now());
            Box::pin(async move {
                match attempt {
                    1 => Err(ConnectError::Later { cause: "come back".to_owned(), wait_ms: 7000 }),
                    _ => refused(),
                }
            })
        }),
    );
    let start = Instant::now();
    within(subject.handle.start()).await.unwrap_err();
    assert_eq!(since(start, &times), [0, 7000, 8000]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_closes_upstream_until_it_is_back() {
    let ends = Ends::new();
    let connected = ends.connected();
    let times = Times::default();
    let noted = times.clone();
    let mut subject = Subject::halves(
        FOR_EVER,
        Box::new(move |attempt| {
            noted.lock().unwrap().push(Instant::now());
            let connected = connected();
            Box::pin(async move { if attempt == 2 { refused() } else { Ok(connected) } })
        }),
    );
    let start = Instant::now();
    within(subject.handle.start()).await.unwrap();
    assert!(subject.before.now().is_some());
    ends.steps.send(Step::Give(1)).unwrap();
    subject.next().await;
    ends.steps.send(Step::Lose).unwrap();
    subject.is_connected(false).await;
    assert_eq!(subject.before.now(), None);
    assert_eq!(subject.handle.status().state, State::Running);
    subject.is_connected(true).await;
    assert!(subject.before.now().is_some());
    assert_eq!(since(start, &times), [0, 500, 1000]);
    ends.steps.send(Step::Give(2)).unwrap();
    subject.next().await;
}

/// Both halves of one connection notice that it is gone: that is one loss, and only the new source reads.
#[tokio::test(start_paused = true)]
async fn both_halves_may_report_the_loss_of_one_connection() {
    let mut ends = Ends::new();
    let mut subject = Subject::halves(FOR_EVER, ends.always());
    within(subject.handle.start()).await.unwrap();
    ends.steps.send(Step::Lose).unwrap();
    subject.give(666..667).await;
    subject.is_connected(false).await;
    subject.is_connected(true).await;
    sleep(Duration::from_secs(10)).await;
    assert!(subject.handle.status().connected);
    for number in 0..10 {
        ends.steps.send(Step::Give(number)).unwrap();
        assert_eq!(subject.next().await, crate::fake::Seen::Event("out", number.to_string()));
    }
    subject.give(1..2).await;
    assert_eq!(within(ends.noted.recv()).await, Some(1));
    assert_eq!(subject.handle.taken().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_no_clock_reaches_is_only_long() {
    let policy = format!(r#"{{"retry": {{"interval_ms": {}}}}}"#, u64::MAX);
    let subject = Subject::halves(&policy, Box::new(|_| Box::pin(async { refused() })));
    let handle = subject.handle.clone();
    tokio::spawn(async move { handle.start().await });
    subject.reaches(State::Running).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(subject.handle.status().state, State::Running);
    within(subject.handle.stop()).await;
}

/// How many lines warned of attempts, and of how many attempts they told.
fn warned_of_attempts(log: &Log) -> (usize, usize) {
    let text = log.text();
    let warned = || text.lines().filter(|line| line.starts_with("WARN "));
    let of_attempts: Vec<_> = warned().filter(|line| line.contains("attempts have failed")).collect();
    let tried: Vec<_> = warned().filter(|line| line.contains("trying again in 10 ms")).collect();
    let number = |line: &str| {
        let (_, behind) = line.split_once("(and ").or_else(|| line.split_once("] "))?;
        behind.split(' ').next()?.parse::<usize>().ok()
    };
    let left_out: usize = of_attempts.iter().chain(&tried).filter_map(|line| number(line)).sum();
    (of_attempts.len() + tried.len(), left_out + tried.len())
}

/// A server that refuses at once, and waits that are as short as they can be.
#[tokio::test(start_paused = true)]
async fn attempts_that_fail_without_a_pause_do_not_flood_the_log() {
    let (log, _listening) = Log::listen();
    let ends = Ends::new();
    let connected = ends.connected();
    let subject = Subject::halves(
        r#"{"retry": {"interval_ms": 0, "growth_rate": 0.5}}"#,
        Box::new(move |attempt| {
            let connected = connected();
            Box::pin(async move { if attempt == 250 { Ok(connected) } else { refused() } })
        }),
    );
    within(subject.handle.start()).await.unwrap();
    let (lines, told) = warned_of_attempts(&log);
    assert_eq!(told, 249, "{}", log.text());
    assert!(lines <= 31, "{lines} lines in two and a half seconds");
    ends.steps.send(Step::Lose).unwrap();
    subject.is_connected(false).await;
    sleep(Duration::from_millis(1500)).await;
    within(subject.handle.stop()).await;
    let (lines, told) = warned_of_attempts(&log);
    assert!(lines <= 52 && (395..=402).contains(&told), "{lines} {told} {}", log.text());
}
