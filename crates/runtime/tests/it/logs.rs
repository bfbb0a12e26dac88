//! What a flow writes to the log.

use crate::world::{World, connector, fresh};
use tracing::Level;
use tremor_codec::testing::Log;

/// All that the log tells of this pipeline is an error.
fn assert_errors(log: &Log, pipeline: &str) {
    let levels = log.levels(&format!("[Pipeline::main::{pipeline}] "));
    assert!(levels.iter().all(|level| *level == Level::ERROR), "{levels:?}");
}

#[tokio::test]
async fn errors_of_pipelines_are_logged_with_file_and_place() {
    let (log, _until_the_end) = Log::listen();
    let sink = fresh();
    let world = World::with(&format!(
        r#"{}{}
        define pipeline scripted pipeline
          define script fails script event.scripted end;
          create script fails;
          select event from in into fails;
          select event from fails into out;
        end;
        define pipeline selects pipeline select event.selected from in into out; end;
        define pipeline reads pipeline
          define script fails script event.caught end;
          create script fails;
          select event from in into fails;
          select event.error from fails/err into out;
        end;
        create pipeline scripted;
        create pipeline selects;
        create pipeline reads;
        connect /connector/numbers to /pipeline/scripted;
        connect /connector/numbers to /pipeline/selects;
        connect /connector/numbers to /pipeline/reads;
        connect /pipeline/scripted to /connector/sink;
        connect /pipeline/selects to /connector/sink;
        connect /pipeline/reads to /connector/sink;"#,
        connector("numbers", "numbers", r#"{"count": 1}"#),
        connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#)),
    ));
    let caught = world.collects(&sink, 1).await;
    world.end().await;
    // Events go on without the name of a file; what reaches nobody is told with it.
    assert!(caught[0].contains("Error: ") && caught[0].contains("event.caught"), "{caught:?}");
    assert_errors(&log, "scripted");
    assert_errors(&log, "selects");
    let log = log.text();
    for (pipeline, line) in [("scripted", "event.scripted"), ("selects", "event.selected")] {
        let header = format!("ERROR tremor_runtime: [Pipeline::main::{pipeline}] Error in test.troy:");
        let report = log.split(&header).nth(1).unwrap_or_else(|| panic!("{header}\n{log}"));
        assert!(report.lines().next().unwrap().trim().split(':').all(|part| part.parse::<u32>().is_ok()));
        assert!(report.contains(line) && report.contains("^"), "{report}");
    }
    assert!(!log.contains("Pipeline::main::reads"), "{log}");
}

#[tokio::test]
async fn a_flood_of_errors_of_one_pipeline_is_told_in_a_few_lines() {
    let (log, _until_the_end) = Log::listen();
    let sink = fresh();
    let world = World::with(&format!(
        r#"{}{}
        define pipeline selects into out, fine pipeline
          select event.missing from in into out;
          select event from in into fine;
        end;
        create pipeline selects;
        connect /connector/numbers to /pipeline/selects;
        connect /pipeline/selects to /connector/sink;
        connect /pipeline/selects/fine to /connector/sink;"#,
        connector("numbers", "numbers", r#"{"count": 20000}"#),
        connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#)),
    ));
    world.collects(&sink, 20_000).await;
    world.end().await;
    assert_errors(&log, "selects");
    let log = log.text();
    let told = log.matches("[Pipeline::main::selects] Error in test.troy:").count();
    let more = log.lines().filter_map(|line| {
        let (_, told) = line.split_once("[Pipeline::main::selects] ")?;
        told.strip_suffix(" more errors like that")?.parse::<usize>().ok()
    });
    // A slow machine takes longer than a second; ten reports for each.
    assert!((10..5_000).contains(&told), "{told} reports");
    assert_eq!(told + more.sum::<usize>(), 20_000);
}

#[tokio::test]
async fn errors_of_a_source_that_nothing_reads_are_told_in_a_few_lines() {
    for is_read in [false, true] {
        let (log, _until_the_end) = Log::listen();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        std::fs::write(&path, "{\n".repeat(5_000) + "1\n").unwrap();
        let sink = fresh();
        let world = World::with(&format!(
            r#"define connector broken from file
            with codec = "json", preprocessors = ["separate"], config = {{"path": {path:?}, "mode": "read"}} end;
            create connector broken;
            {}
            create pipeline pass from pipelines::passthrough;
            connect /connector/broken to /pipeline/pass;
            {}
            connect /pipeline/pass to /connector/sink;"#,
            connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#)),
            if is_read { "connect /connector/broken/err to /pipeline/pass;" } else { "" },
        ));
        world.collects(&sink, if is_read { 5_001 } else { 1 }).await;
        world.end().await;
        let levels = log.levels("on port `err`, which nothing reads: ");
        let log = log.text();
        assert_eq!(levels.is_empty(), is_read, "{log}");
        assert!(levels.len() < 1_000, "{} lines", levels.len());
        assert!(levels.iter().all(|level| *level == Level::WARN), "{levels:?}");
        assert!(is_read || log.contains("WARN tremor_runtime: [Source::main::broken] "), "{log}");
    }
}

#[tokio::test]
async fn why_a_flow_could_not_start_is_told_once_and_as_an_error() {
    let (log, _until_the_end) = Log::listen();
    let away = connector("away", "collect", &format!(r#"{{"name": "{}", "fails": true}}"#, fresh()));
    let numbers = connector("numbers", "numbers", r#"{"count": 1}"#);
    let mut world = World::with(&format!(
        "{numbers}{away}
        create pipeline pass from pipelines::passthrough;
        connect /connector/numbers to /pipeline/pass;
        connect /pipeline/pass to /connector/away;"
    ));
    world.failures.recv().await.unwrap();
    world.end().await;
    let log = log.text();
    let [told] = log.lines().filter(|line| line.contains("the test says so")).collect::<Vec<_>>()[..] else {
        panic!("{log}")
    };
    assert!(told.starts_with("ERROR tremor_runtime: [Connector::main::away] "), "{log}");
    assert!(
        log.contains("INFO tremor_runtime: [Flow::main] Failed: main::away Connection failed after 1 try\n"),
        "{log}"
    );
}
