//! Choosing cases, judging samples, printing them.

use super::*;
use contest::{Aim, Contest, Sample, Verdict};
use machine::Machine;

fn samples(values: &[f64]) -> Vec<Sample> {
    values.iter().map(|value| Sample { value: *value, details: vec![("us each", *value)] }).collect()
}

const fn case(aim: Aim) -> Case {
    fn unprepared(_: &Bench) -> Result<Box<dyn Contest>> {
        Err(Error::Build)
    }
    Case { name: "some case", what: "this", reference: "that", unit: "ms", aim, runs: 1, prepare: unprepared }
}

static FASTER: Case = case(Aim::AtLeastTimes(2.8));
static SOONER: Case = case(Aim::AtMostMore(10.0));

fn machine() -> Machine {
    Machine {
        cores: 2,
        processor: "p".to_owned(),
        memory_mib: 1,
        kernel: "k".to_owned(),
        load_average: 0.5,
        program: "t".to_owned(),
    }
}

#[test]
fn throughput_is_best_against_best() {
    let aim = Aim::AtLeastTimes(2.0);
    let verdict = aim.judge(&samples(&[3.0, 4.0, 1.0]), &samples(&[1.0, 2.0])).unwrap();
    assert_eq!(verdict, Verdict { ours: 4.0, reference: 2.0, compared: 2.0, met: true });
    assert!(!aim.judge(&samples(&[3.9]), &samples(&[2.0])).unwrap().met);
    assert_eq!(aim.judge(&[], &samples(&[1.0])), None);
}

#[test]
fn times_are_median_against_median() {
    let verdict =
        Aim::AtMostMore(10.0).judge(&samples(&[99.0, 12.0, 11.0]), &samples(&[1.5, 1.0, 2.0])).unwrap();
    assert_eq!(verdict, Verdict { ours: 12.0, reference: 1.5, compared: 10.5, met: false });
}

#[test]
fn costs_are_least_against_least() {
    let aim = Aim::AtMostTimes(1.3);
    let verdict = aim.judge(&samples(&[9.0, 2.6, 3.0]), &samples(&[2.0, 7.0])).unwrap();
    assert_eq!(verdict, Verdict { ours: 2.6, reference: 2.0, compared: 1.3, met: true });
    assert!(!aim.judge(&samples(&[2.7]), &samples(&[2.0])).unwrap().met);
}

#[test]
fn what_is_at_most_something_does_not_look_at_the_reference() {
    let verdict = Aim::Within(8.0).judge(&samples(&[7.0, 8.0, 9.0]), &samples(&[1.0])).unwrap();
    assert_eq!(verdict, Verdict { ours: 8.0, reference: 1.0, compared: 8.0, met: true });
    assert!(!Aim::Within(8.0).judge(&samples(&[8.1]), &samples(&[99.0])).unwrap().met);
}

#[test]
fn cases_are_found_by_name_or_group() {
    let names = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        choose(&words).map(|cases| cases.iter().map(|case| case.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap().len(), cases::CASES.len());
    assert_eq!(names(&["start"]).unwrap(), ["start server", "start run"]);
    assert_eq!(names(&["ws windowed", "file"]).unwrap(), ["file", "ws windowed"]);
    assert_eq!(names(&["ws"]).unwrap(), ["ws windowed", "ws many", "ws one"]);
    let error = names(&["fil"]).unwrap_err().to_string();
    assert!(error.contains("`fil`") && error.contains("`file`"), "{error}");
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<_> = cases::CASES.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases::CASES.len());
}

#[test]
fn numbers_are_short() {
    let texts = [0.1234, 12.34, 123.4, 1234.5, 1_234_567.0, -1234.5, -123.0].map(report::number);
    assert_eq!(texts, ["0.12", "12.3", "123", "1 234", "1 234 567", "-1 234", "-123"]);
}

#[test]
fn the_table_says_what_was_met_and_what_failed() {
    let rows = [
        Row {
            case: &FASTER,
            outcome: Outcome::Measured { ours: samples(&[28.0, 30.0]), reference: samples(&[10.0, 9.0]) },
        },
        Row { case: &SOONER, outcome: Outcome::Failed("no port".to_owned()) },
    ];
    let expected = "\
case       unit    ours      (spread)  reference      (spread)  ratio            aim  met
some case  ms      30.0  28.0 .. 30.0       10.0  9.00 .. 10.0   3.00   at least 2.8  yes
some case  ms    failed                                                at most +10.0  no figure

some case: this; against that
  ours: 30.0 us each
  reference: 10.0 us each
some case: this; against that
  no figure: no port";
    assert_eq!(report::table(&rows), expected);
}

#[test]
fn machines_get_every_sample() {
    let measured =
        Outcome::Measured { ours: samples(&[5.0, 6.0, 7.0]), reference: samples(&[1.0, 1.0, 2.0]) };
    let rows = [
        Row { case: &SOONER, outcome: measured },
        Row { case: &FASTER, outcome: Outcome::Failed("no port".to_owned()) },
    ];
    let document: serde_json::Value = serde_json::from_str(&report::json(&machine(), &rows)).unwrap();
    let [first, second] = [&document["cases"][0], &document["cases"][1]];
    assert_eq!(first["ours"]["samples"], serde_json::json!([5.0, 6.0, 7.0]));
    assert_eq!(first["ours"]["details"]["us each"], 6.0);
    assert_eq!(first["difference"], 5.0);
    assert_eq!(first["met"], true);
    assert_eq!(first["aim"]["at_most_more"], 10.0);
    assert_eq!(second["error"], "no port");
    assert_eq!(document["machine"]["cores"], 2);
}
