//! Who waits for the end of an event hears of it, whatever way it took.

use crate::{
    heard::{Ledger, allow, control, has_begun, ledger},
    world::{World, collected, connector, fresh},
};

use std::collections::BTreeSet;

/// A source of `count` events that listens, under the name of its ledger.
fn source(name: &str, count: u64) -> String {
    connector("numbers", "listening", &format!(r#"{{"name": "{name}", "count": {count}}}"#))
}

fn sink(connector_name: &str, config: &str) -> String {
    connector(connector_name, "settling", config)
}

/// Waits until all `count` pulls are settled and looks at the sums.
async fn settled(world: &World, name: &str, count: usize) -> Ledger {
    world.until(|_| ledger(name).settled.len() == count).await;
    let ledger = ledger(name);
    assert_eq!(ledger.twice, 0, "no pull is told of twice");
    assert_eq!(ledger.sent, count);
    ledger
}

#[tokio::test]
async fn pipelines_of_pipelines_settle_every_event_once() {
    for seed in [1, 2, 3] {
        let (name, one, two) = (fresh(), fresh(), fresh());
        let world = World::with(&format!(
            r#"{}{}{}
            create pipeline split from pipelines::passthrough;
            define pipeline even pipeline
              select event from in where event % 2 == 0 into out;
            end;
            define pipeline counted pipeline
              define script count
              state {{"n": 0}}
              script
                let state.n = state.n + 1;
                event
              end;
              create script count;
              select event from in into count;
              select event from count into out;
            end;
            create pipeline even;
            create pipeline counted;
            connect /connector/numbers to /pipeline/split;
            connect /pipeline/split to /pipeline/even;
            connect /pipeline/split to /pipeline/counted;
            connect /pipeline/even to /connector/one;
            connect /pipeline/counted to /connector/two;"#,
            source(&name, 1000),
            sink("one", &format!(r#"{{"name": "{one}", "seed": {seed}}}"#)),
            sink("two", &format!(r#"{{"name": "{two}", "seed": {seed}, "fails_every": 3}}"#)),
        ));
        let ledger = settled(&world, &name, 1000).await;
        for (pull, outcome) in &ledger.settled {
            let expected = if pull % 3 == 0 { "failed" } else { "delivered" };
            assert_eq!(*outcome, expected, "pull {pull} of seed {seed}");
        }
        let arrived = [(collected(&one), 500), (collected(&two), 1000)];
        let (mut delivered, mut repeated, mut lost) = (0, 0, 0);
        for (events, wanted) in &arrived {
            let different = events.iter().collect::<BTreeSet<_>>().len();
            delivered += events.len();
            repeated += events.len() - different;
            lost += wanted - different;
        }
        let (sent, acknowledged) = (ledger.sent, ledger.count("delivered"));
        println!(
            "seed {seed}: sent {sent}, acknowledged {acknowledged}, delivered {delivered}, repeated {repeated}, lost {lost}"
        );
        assert_eq!((acknowledged, delivered, repeated, lost), (666, 1500, 0, 0));
        world.end().await;
    }
}

#[tokio::test]
async fn what_no_pipeline_hands_on_is_discarded() {
    let (name, one) = (fresh(), fresh());
    let world = World::with(&format!(
        r#"{}{}
        define pipeline some into out, aside pipeline
          select event from in where event < 10 into out;
          select event from in where event >= 50 into aside;
        end;
        create pipeline some;
        connect /connector/numbers to /pipeline/some;
        connect /pipeline/some to /connector/one;"#,
        source(&name, 100),
        sink("one", &format!(r#"{{"name": "{one}"}}"#)),
    ));
    let ledger = settled(&world, &name, 100).await;
    assert_eq!(ledger.count("delivered"), 10);
    assert_eq!(ledger.count("discarded"), 90, "filtered, or sent to a port without link");
    world.end().await;
}

#[tokio::test]
async fn batches_are_flushed_when_the_last_source_is_done() {
    let (name, out) = (fresh(), fresh());
    let world = World::with(&format!(
        r#"{}{}{}
        define pipeline batched pipeline
          define operator b from generic::batch with count = 10 end;
          create operator b;
          select event from in into b;
          select event from b into out;
        end;
        create pipeline batched;
        connect /connector/numbers to /pipeline/batched;
        connect /connector/numbers/err to /pipeline/batched;
        connect /connector/other to /pipeline/batched;
        connect /pipeline/batched to /connector/sink;"#,
        source(&name, 23),
        connector("other", "numbers", r#"{"count": 0, "endless": true}"#),
        connector("sink", "collect", &format!(r#"{{"name": "{out}"}}"#)),
    ));
    world.collects(&out, 2).await;
    assert_eq!(ledger(&name).settled.len(), 20);
    world.end().await;
    assert_eq!(collected(&out).len(), 3);
    assert_eq!(collected(&out)[2].matches("\"value\"").count(), 3, "what was held when the flow was drained");
    assert_eq!(settled(&world, &name, 23).await.count("delivered"), 23);
}

#[tokio::test]
async fn a_finished_source_flushes_what_it_left_behind() {
    let (name, out) = (fresh(), fresh());
    let world = World::with(&format!(
        r#"{}{}
        define pipeline batched pipeline
          define operator b from generic::batch with count = 10 end;
          create operator b;
          select event from in into b;
          select event from b into out;
        end;
        create pipeline batched;
        create pipeline again from batched;
        connect /connector/numbers to /pipeline/batched;
        connect /pipeline/batched to /pipeline/again;
        connect /pipeline/again to /connector/sink;"#,
        source(&name, 11),
        connector("sink", "collect", &format!(r#"{{"name": "{out}"}}"#)),
    ));
    world.collects(&out, 1).await;
    assert_eq!(settled(&world, &name, 11).await.count("delivered"), 11);
    assert_eq!(collected(&out).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn ticks_come_by_themselves() {
    let (name, out) = (fresh(), fresh());
    let world = World::with(&format!(
        r#"{}{}
        define pipeline batched pipeline
          define operator b from generic::batch with count = 10, timeout = 1000 end;
          create operator b;
          select event from in into b;
          select event from b into out;
        end;
        create pipeline batched;
        connect /connector/numbers to /pipeline/batched;
        connect /pipeline/batched to /connector/sink;"#,
        connector("numbers", "listening", &format!(r#"{{"name": "{name}", "count": 3, "endless": true}}"#)),
        connector("sink", "collect", &format!(r#"{{"name": "{out}"}}"#)),
    ));
    world.until(|_| ledger(&name).sent == 3).await;
    // The events are of time 0 by the clock of the world, at which it stands still.
    assert_eq!(collected(&out).len(), 0);
    world.advance(2000);
    assert_eq!(world.collects(&out, 1).await[0].matches("\"value\"").count(), 3);
    world.end().await;
}

#[tokio::test]
async fn roundrobin_stands_between_source_and_sinks() {
    let (name, one, two) = (fresh(), fresh(), fresh());
    let world = World::with(&format!(
        r#"{}{}{}
        define pipeline spread into left, right pipeline
          define operator r from qos::roundrobin with outputs = ["left", "right"] end;
          create operator r;
          select event from in into r;
          select event from r/left into left;
          select event from r/right into right;
        end;
        create pipeline spread;
        create pipeline before from pipelines::passthrough;
        create pipeline behind from pipelines::passthrough;
        connect /connector/numbers to /pipeline/before;
        connect /pipeline/before to /pipeline/spread;
        connect /pipeline/spread/left to /pipeline/behind;
        connect /pipeline/behind to /connector/one;
        connect /pipeline/spread/right to /connector/two;"#,
        connector("numbers", "listening", &format!(r#"{{"name": "{name}", "count": 20, "by_hand": true}}"#)),
        sink("one", &format!(r#"{{"name": "{one}"}}"#)),
        sink("two", &format!(r#"{{"name": "{two}"}}"#)),
    ));
    world.until(|_| has_begun(&one) && has_begun(&two)).await;
    control(&one).close();
    let pulls = || allow(&name, 1);
    pulls();
    world.until(|_| collected(&two).len() == 1).await;
    assert_eq!(collected(&one).len(), 0, "its output is closed");
    control(&one).open();
    pulls();
    pulls();
    world.until(|_| collected(&one).len() + collected(&two).len() == 3).await;
    assert_eq!(collected(&one).len(), 1, "now they take turns");
    control(&two).close();
    pulls();
    world.until(|_| collected(&one).len() == 2).await;
    assert_eq!(settled(&world, &name, 4).await.count("delivered"), 4);
    control(&one).close();
    pulls();
    control(&two).open();
    world.until(|_| collected(&two).len() == 3).await;
    world.end().await;
}

#[tokio::test]
async fn backpressure_deals_with_a_sink_that_closes() {
    let (name, one, over) = (fresh(), fresh(), fresh());
    let world = World::with(&format!(
        r#"{}{}{}
        define pipeline careful into out, over pipeline
          define operator b from qos::backpressure with timeout = 1000000000000, steps = [100] end;
          create operator b;
          select event from in into b;
          select event from b into out;
          select event from b/overflow into over;
        end;
        create pipeline careful;
        connect /connector/numbers to /pipeline/careful;
        connect /pipeline/careful to /connector/one;
        connect /pipeline/careful/over to /connector/over;"#,
        connector("numbers", "listening", &format!(r#"{{"name": "{name}", "count": 20, "by_hand": true}}"#)),
        sink("one", &format!(r#"{{"name": "{one}"}}"#)),
        sink("over", &format!(r#"{{"name": "{over}"}}"#)),
    ));
    world.until(|_| has_begun(&one) && has_begun(&over)).await;
    allow(&name, 1);
    world.until(|_| collected(&one).len() == 1).await;
    settled(&world, &name, 1).await;
    control(&one).close();
    allow(&name, 2);
    world.until(|_| collected(&over).len() == 2).await;
    assert_eq!(settled(&world, &name, 3).await.count("delivered"), 3);
    // A tick behind the interval ends the back-off; whether the sink is open again makes no difference.
    world.advance(101_000_000);
    world
        .until(|_| {
            allow(&name, 1);
            collected(&one).len() == 2
        })
        .await;
    world.end().await;
}

/// Operators in a row, each in a pipeline of its own.
fn row(count: usize, name: &str, out: &str) -> String {
    let mut statements = source(name, 50)
        + &connector("sink", "collect", &format!(r#"{{"name": "{out}"}}"#))
        + "define pipeline careful pipeline
             define operator b from qos::backpressure with timeout = 1000000000000 end;
             create operator b;
             select event from in into b;
             select event from b into out;
           end;\n";
    for number in 0..count {
        statements += &format!("create pipeline p{number} from careful;\n");
        let before =
            number.checked_sub(1).map_or("connector/numbers".to_owned(), |n| format!("pipeline/p{n}"));
        statements += &format!("connect /{before} to /pipeline/p{number};\n");
    }
    format!("{statements}connect /pipeline/p{} to /connector/sink;", count - 1)
}

#[tokio::test]
async fn answers_find_their_way_back_through_many_operators() {
    let (name, out) = (fresh(), fresh());
    let world = World::with(&row(200, &name, &out));
    let ledger = settled(&world, &name, 50).await;
    assert_eq!(ledger.count("delivered"), 50, "{ledger:?}");
    world.end().await;
}

#[test]
fn more_operators_in_a_row_are_refused() {
    let flow = crate::world::flow("main", &row(201, "nobody", "nobody"));
    let problem = World::new().plan(&flow).err().unwrap();
    assert!(problem.contains("more than 200 operators"), "{problem}");
}
