//! What is wrong with a query, found when it is compiled or when its graph is built.

use super::{build, compiler, complaints, graph};

#[test]
fn unknown_nodes_and_ports_are_marked() {
    for (query, expected) in [
        ("select event from nope into out;", &["E-Q4 at nope"][..]),
        (
            "select event from in into nope; select event from inn into outt;",
            &["E-Q4 at nope", "E-Q4 at inn", "E-Q4 at outt"],
        ),
        ("select event from s into out; create stream s;", &["E-Q4 at s"]),
        (
            "define pipeline p pipeline select event from in into out end; create pipeline p; select event from in into p/nope;",
            &["E-Q17 at nope"],
        ),
        (
            "define pipeline p pipeline select event from in into out end; create pipeline p; select event from p/nope into out;",
            &["E-Q17 at nope"],
        ),
        ("create stream a; create stream a; select event from in into out;", &["E-Q1 at create stream a"]),
        ("define script in script event end; create script in;", &["E-Q1 at create script in"]),
        ("create stream a; define script a script event end; create script a;", &["E-Q1 at create script a"]),
        ("define script s args a script event end; create script s;", &["E-Q6 at a"]),
        (
            "define pipeline p args a pipeline select event from in into out end; create pipeline p;",
            &["E-Q6 at a"],
        ),
        (
            "define script s args a state 1 / args.a script event end; create script s with a = 0 end;",
            &["E-O3 at 1 / args.a"],
        ),
        ("define operator b from generic::bacth; create operator b;", &["E-Q3 at generic::bacth"]),
        ("define operator b from generic::batch; create operator b;", &["E-Q3 at generic::batch"]),
        ("define operator b from generic::batch with cuont = 1 end; create operator b;", &["E-Q3 at cuont"]),
        ("define operator b from generic::batch with count = 0 end; create operator b;", &["E-Q3 at count"]),
        ("define operator b from grouper::bucket with rate = 0 end; create operator b;", &["E-Q3 at rate"]),
        (
            "define operator b from generic::batch args n with count = args.n end; create operator b;",
            &["E-Q6 at n"],
        ),
        (
            "define operator b from generic::counter; create operator b; create operator b;",
            &["E-Q1 at create operator b"],
        ),
        ("define operator in from generic::counter; create operator in;", &["E-Q1 at create operator in"]),
    ] {
        assert_eq!(complaints(query), expected, "{query}");
    }
}

#[test]
fn compiling_refuses_what_it_can() {
    let complaints = |query: &str| -> Vec<String> {
        let failure = compiler().compile_query("t", query).err();
        let Some(failure) = failure else { return Vec::new() };
        let show = |diagnostic: &tremor_diagnostic::Diagnostic| {
            let marked = diagnostic.inner.map(|span| failure.sources.text(span)).unwrap_or_default();
            format!("{} at {marked}", diagnostic.code.id)
        };
        failure.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).map(show).collect()
    };
    for (query, expected) in [
        ("create script s;", &["E-Q2 at create script s"][..]),
        ("create pipeline p from m::q;", &["E-Q2 at create pipeline p from m::q"]),
        (
            "define script s script event end; define script s script 1 end;",
            &["E-M3 at define script s script 1 end"],
        ),
        ("define script s script from in 1 script 2 end;", &["E-Q8 at in"]),
        ("define script s script from a 1 script from a 3 script 2 end;", &["E-Q8 at a"]),
        ("define script s script event end; create script s with k = 1 end;", &["E-Q7 at k"]),
        (
            "define pipeline p args a = 1 pipeline select event from in into out end; create pipeline p with k = 1 end;",
            &["E-Q7 at with k = 1"],
        ),
        (
            "define pipeline p pipeline create stream out; select event from in into out end;",
            &["E-Q1 at create stream out"],
        ),
        ("select nope + 1 from in where alsonope into out;", &["E-P0 at nope + 1", "E-P0 at alsonope"]),
        ("define script s args a = event script 1 end;", &["E-C1 at event"]),
        ("define script s state event script 1 end;", &["E-C1 at event"]),
        ("define script s args a state args.b script 1 end;", &["E-Q7 at b"]),
        ("define script s args a script let x = args.b; present args.c end;", &["E-Q7 at b"]),
        ("#!config id = event\nselect event from in into out;", &["E-C1 at event"]),
        ("define window w from tumbling with size = 2 end; select 1 from in[w] into out;", &["E-N1 at w"]),
        ("select event from in group by event.a into out;", &["E-N1 at event.a"]),
        (
            "define operator b from generic::batch with count = 2 end; create operator b with count = 3 end;",
            &["E-Q7 at count"],
        ),
        ("define operator b from generic::batch args n with count = args.m end;", &["E-Q7 at m"]),
        ("define operator b from generic::batch with count = event end;", &["E-C1 at event"]),
        (
            "define operator b from generic::batch args n = args.n with count = args.n end;",
            &["E-C1 at args.n"],
        ),
        ("create operator b from generic::batch;", &["E-Q2 at create operator b from generic::batch"]),
        (
            "define operator b from generic::counter; define operator b from generic::counter;",
            &["E-M3 at define operator b from generic::counter"],
        ),
        ("select aggr::stats::count() from in into out;", &["E-N1 at aggr::stats::count()"]),
    ] {
        assert_eq!(complaints(query), expected, "{query}");
    }
}

#[test]
fn definitions_may_stand_below_their_use() {
    assert!(build("create script s; define script s script event end; select event from in into s; select event from s into out;").is_ok());
}

#[test]
fn a_cycle_is_an_error_that_shows_it() {
    let error = build("create stream a; create stream b; select event from in into a; select event from a into b; select event from b into a; select event from b into out;").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("Error: The nodes of this pipeline form a cycle:"), "{text}");
    assert!(text.contains("b -> "), "{text}");
    assert!(!text.contains("in -> "), "only the cycle itself: {text}");
}

#[test]
fn what_leads_nowhere_is_removed_with_its_state() {
    let graph = graph(
        "define script s state 1 script let state = 2 end; create script s; select event from in into s; select event from in into out;",
    );
    assert!(graph.is_stateless());
    // A cycle without way in is gone before it is looked for.
    assert!(build("create stream a; create stream b; select event from a into b; select event from b into out; select event from in into out;").is_ok());
}

#[test]
fn pipelines_that_multiply_are_refused() {
    let mut query = "define pipeline p pipeline select event from in into out end;".to_owned();
    for _ in 0..20 {
        query = format!(
            "define pipeline p pipeline {query} create pipeline a from p; create pipeline b from p; create pipeline c from p;
             select event from in into a; select event from a into b; select event from b into c; select event from c into out end;"
        );
    }
    let query = format!(
        "{query} create pipeline x from p; select event from in into x; select event from x into out;"
    );
    let found = complaints(&query);
    assert!(found.iter().any(|complaint| complaint.starts_with("E-L16")), "{:?}", found.len());
}
