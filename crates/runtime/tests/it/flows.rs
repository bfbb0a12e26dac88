//! Links, orders, loops.

use crate::world::{World, collected, connector, flow, fresh, numbers};

fn from_numbers(count: u64, sink: &str) -> String {
    connector("numbers", "numbers", &format!(r#"{{"count": {count}}}"#))
        + &connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#))
}

#[tokio::test]
async fn a_source_is_read_to_its_end_in_order_and_the_flow_drains() {
    let sink = fresh();
    let world = World::with(&format!(
        "{}
        create pipeline pass from pipelines::passthrough;
        connect /connector/numbers to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;",
        from_numbers(5000, &sink)
    ));
    world.collects(&sink, 1).await;
    world.end().await;
    assert_eq!(world.collects(&sink, 1).await.len() % 10, 0, "whole pulls");
}

#[tokio::test]
async fn a_source_of_which_only_err_is_linked_is_not_read() {
    let sink = fresh();
    let world = World::with(&format!(
        "{}{}
        create pipeline pass from pipelines::passthrough;
        connect /connector/other/err to /pipeline/pass;
        connect /connector/numbers to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;",
        from_numbers(1000, &sink),
        connector("other", "numbers", r#"{"count": 1, "panic": 0}"#)
    ));
    world.collects(&sink, 1000).await;
    let failures = || {
        let of_flow = world.runtime.connectors("main").unwrap();
        of_flow.into_iter().filter_map(|connector| connector.failure).collect::<Vec<_>>()
    };
    assert_eq!(failures(), Vec::<String>::new(), "it panics when it is read");
    world.end().await;
    assert_eq!(failures(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pipeline_with_state_keeps_the_order_behind_its_queue() {
    let sink = fresh();
    let world = World::with(&format!(
        r#"{}
        define pipeline count pipeline
          define script count
          state {{"n": 0}}
          script
            let state.n = state.n + 1;
            [event, state.n]
          end;
          create script count;
          select event from in into count;
          select event from count into out;
        end;
        create pipeline count;
        create pipeline pass from pipelines::passthrough;
        connect /connector/numbers to /pipeline/count;
        connect /pipeline/count to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;"#,
        from_numbers(3000, &sink)
    ));
    let expected: Vec<String> = (0..3000).map(|number| format!("[{number},{}]", number + 1)).collect();
    assert_eq!(world.collects(&sink, 3000).await, expected);
    world.end().await;
    assert_eq!(collected(&sink).len(), 3000);
}

#[tokio::test]
async fn every_way_brings_its_copy_and_marks_come_along_all_of_them() {
    let sink = fresh();
    let world = World::with(&format!(
        "{}
        create pipeline one from pipelines::passthrough;
        create pipeline two from pipelines::passthrough;
        connect /connector/numbers to /pipeline/one;
        connect /connector/numbers to /pipeline/one;
        connect /connector/numbers/err to /pipeline/two;
        connect /connector/numbers to /pipeline/two;
        connect /pipeline/one to /connector/sink;
        connect /pipeline/one to /pipeline/two;
        connect /pipeline/two to /connector/sink;",
        from_numbers(100, &sink)
    ));
    // Twice into `one`, whose output goes two ways, and once into `two`.
    let mut got = world.collects(&sink, 500).await;
    got.sort_unstable();
    let mut expected: Vec<String> = std::iter::repeat_n(numbers(100), 5).flatten().collect();
    expected.sort_unstable();
    assert_eq!(got, expected);
    world.end().await;
    assert_eq!(collected(&sink).len(), 500);
}

#[tokio::test]
async fn a_loop_of_pipelines_is_refused_with_their_names() {
    let problem = World::new()
        .plan(&flow(
            "main",
            &format!(
                "{}
                create pipeline one from pipelines::passthrough;
                create pipeline two from pipelines::passthrough;
                connect /connector/numbers to /pipeline/one;
                connect /pipeline/one to /pipeline/two;
                connect /pipeline/two to /pipeline/one;
                connect /pipeline/two to /connector/sink;",
                from_numbers(1, "nobody")
            ),
        ))
        .err()
        .unwrap();
    assert!(problem.contains("loop: `main::one` → `main::two`"), "{problem}");
}

#[tokio::test]
async fn pipelines_may_form_a_long_chain() {
    let sink = fresh();
    let mut statements = from_numbers(50, &sink) + "connect /connector/numbers to /pipeline/p0;\n";
    for number in 0..200 {
        statements += &format!("create pipeline p{number} from pipelines::passthrough;\n");
        if number > 0 {
            statements += &format!("connect /pipeline/p{} to /pipeline/p{number};\n", number - 1);
        }
    }
    let world = World::with(&(statements + "connect /pipeline/p199 to /connector/sink;"));
    assert_eq!(world.collects(&sink, 50).await, numbers(50));
    world.end().await;
}

#[tokio::test]
async fn a_source_waits_for_a_sink_that_is_not_there() {
    let (sink, other) = (fresh(), fresh());
    let mut world = World::with(&format!(
        "{}{}
        create pipeline pass from pipelines::passthrough;
        connect /connector/numbers to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;
        connect /pipeline/pass to /connector/away;",
        from_numbers(10, &sink),
        connector("away", "collect", &format!(r#"{{"name": "{other}", "fails": true}}"#))
    ));
    let failure = world.failures.recv().await.unwrap();
    assert_eq!(failure.flow, "main");
    assert!(failure.cause.contains("main::away Connection failed after 1 try: the test says so"));
    assert_eq!(collected(&sink).len(), 0);
    world.end().await;
    assert_eq!((collected(&sink).len(), collected(&other).len()), (0, 0));
}

#[tokio::test]
async fn a_kind_that_panics_is_failed_and_other_flows_go_on() {
    std::panic::set_hook(Box::new(|_| {}));
    let (bad, good) = (fresh(), fresh());
    let world = World::new();
    let statements = |sink: &str, panic: &str| {
        format!(
            "{}{}
            create pipeline pass from pipelines::passthrough;
            connect /connector/numbers to /pipeline/pass;
            connect /pipeline/pass to /connector/sink;",
            connector("numbers", "numbers", &format!(r#"{{"count": 1000, "endless": true{panic}}}"#)),
            connector("sink", "collect", &format!(r#"{{"name": "{sink}"}}"#))
        )
    };
    world.deploy(&flow("bad", &statements(&bad, r#", "panic": 500"#)));
    world.deploy(&flow("good", &statements(&good, "")));
    world.collects(&good, 1000).await;
    world
        .until(|runtime| {
            let connectors = runtime.connectors("bad").unwrap();
            let numbers = connectors.iter().find(|connector| connector.name == "numbers").unwrap();
            numbers.failure.as_ref().is_some_and(|failure| failure.contains("internal error"))
        })
        .await;
    assert_eq!(world.collects(&bad, 500).await, numbers(500));
    let states: Vec<_> = world.runtime.flows().iter().map(|flow| format!("{:?}", flow.state)).collect();
    assert_eq!(states, ["Failed", "Running"]);
    world.end().await;
}

#[tokio::test]
async fn of_two_instances_of_one_name_the_later_one_works() {
    let (first, second) = (fresh(), fresh());
    let world = World::with(&format!(
        "{}
        define connector other from collect with config = {{\"name\": \"{second}\"}} end;
        create connector sink from other;
        create pipeline pass from pipelines::passthrough;
        create pipeline pass from pipelines::passthrough;
        connect /connector/numbers to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;",
        from_numbers(10, &first)
    ));
    assert_eq!(world.collects(&second, 10).await, numbers(10));
    assert_eq!(collected(&first).len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_connector_that_fails_is_told_while_another_one_still_tries() {
    let sink = fresh();
    let mut world = World::with(&format!(
        "{}{}
        create pipeline pass from pipelines::passthrough;
        connect /connector/client to /pipeline/pass;
        connect /pipeline/pass to /connector/sink;",
        connector("client", "ws_client", r#"{"url": "ws://127.0.0.1:1"}"#)
            .replace("config", "reconnect = {\"retry\": {\"interval_ms\": 10}}, config"),
        connector("sink", "collect", &format!(r#"{{"name": "{sink}", "fails": true}}"#)),
    ));
    let failure = crate::world::within(world.failures.recv()).await.unwrap();
    assert!(failure.cause.contains("main::sink Connection failed"), "{}", failure.cause);
    world.end().await;
}
