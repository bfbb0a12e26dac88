//! Sources that were changed at random: each gets an answer, as the fuzz targets demand.

#![expect(clippy::indexing_slicing, reason = "a test that can not go on fails")]

use super::embedded;
use std::{fs, path::Path};
use tremor_lang::testing::{configuration_answers, script_answers};

/// Cases of one run: a few seconds.
const CASES: usize = 1500;

/// Pieces that mean something to the language and may not stand in the corpus.
const PIECES: &[&str] = &[
    "event",
    "state",
    "$",
    "$m",
    "args",
    "let state = ",
    "let event = ",
    "let event.a = ",
    "let x = ",
    "x",
    "patch event of",
    "end",
    "merge state of",
    "erase \"a\"",
    "case _ =>",
    "match event of",
    "for event of case (k, v) =>",
    "into",
    "use +",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "%{",
    "%[",
    "\"#{",
    "}\"",
    "\"\"\"",
    "<<",
    ">>",
    "/",
    "%",
    "-",
    "9223372036854775807",
    "1.0e308",
    "0",
    ":",
    "::",
    "fn f(x) with",
    "recur(",
    "const C =",
    "emit",
    "=>",
    "drop",
    ";",
    ",",
    "select",
    "from in into out",
    "define",
    "create",
    "flow",
    "connect",
    "to",
    "with",
    "args",
    "é",
    "\u{0}",
    "#",
    "`",
];

/// A generator that gives the same sequence in every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, among: &'a [Box<T>]) -> &'a T {
        &among[self.roll(among.len())]
    }
}

/// Files with these extensions below the folders with examples and tests.
fn corpus(extensions: &[&str]) -> Vec<Box<str>> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut waiting: Vec<_> = ["tests", "docs/examples"].map(|folder| root.join(folder)).into();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|found| extensions.iter().any(|known| found == *known)) {
                found.extend(fs::read_to_string(&path).ok().map(|text| (text.len(), text.into_boxed_str())));
            }
        }
    }
    // The order in which folders are listed is no property of the program.
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

/// Those that compile: what is changed a little then goes far.
fn good(corpus: &[Box<str>], compiles: impl Fn(&[u8]) -> bool) -> Vec<Box<str>> {
    corpus.iter().filter(|text| compiles(text.as_bytes())).cloned().collect()
}

/// The words of a text, each with the space before it.
fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(|c: char| c.is_whitespace() || ";,()[]{}=.".contains(c)).collect()
}

/// A text with a few words taken out, doubled, moved or put in.
fn mutated(dice: &mut Dice, good: &[Box<str>], corpus: &[Box<str>]) -> String {
    let text = dice.pick(good);
    let mut kept: Vec<String> = words(text).into_iter().map(str::to_owned).collect();
    for _ in 0..dice.roll(5) {
        let at = dice.roll(kept.len() + 1);
        let end = (at + 1 + dice.roll(4)).min(kept.len());
        match dice.roll(6) {
            0 => drop(kept.drain(at.min(end)..end)),
            1 => {
                let doubled: Vec<String> = kept[at.min(end)..end].to_vec();
                drop(kept.splice(at..at, doubled));
            }
            2 => {
                let other = words(dice.pick(corpus));
                let from = dice.roll(other.len());
                let to = (from + 1 + dice.roll(12)).min(other.len());
                drop(kept.splice(at..at, other[from.min(to)..to].iter().map(|word| (*word).to_owned())));
            }
            3 => kept.truncate(at),
            _ => kept.insert(at, format!(" {} ", PIECES[dice.roll(PIECES.len())])),
        }
    }
    kept.concat()
}

#[test]
fn changed_scripts_get_an_answer() {
    let (compiler, mut dice) = (embedded(), Dice(0x9E37_79B9_7F4A_7C15));
    let mut corpus = corpus(&["tremor"]);
    // Lines that do much, of which words find their way into the others.
    corpus.extend(SCRIPTS.iter().map(|script| Box::from(*script)));
    let mut compiled = 0;
    let good = good(&corpus, |text| script_answers(&compiler, text));
    for _ in 0..CASES {
        compiled += usize::from(script_answers(&compiler, mutated(&mut dice, &good, &corpus).as_bytes()));
    }
    assert!(compiled > CASES / 10, "only {compiled} of {CASES} compile");
}

#[test]
fn changed_configurations_get_an_answer() {
    let (compiler, mut dice) = (embedded(), Dice(0xD1B5_4A32_D192_ED03));
    let cases = CASES / 4;
    let corpus = corpus(&["trickle", "troy"]);
    let mut compiled = 0;
    let good = good(&corpus, |text| configuration_answers(&compiler, text));
    for _ in 0..cases {
        compiled +=
            usize::from(configuration_answers(&compiler, mutated(&mut dice, &good, &corpus).as_bytes()));
    }
    assert!(compiled > cases / 10, "only {compiled} of {cases} compile");
}

/// Scripts that use much of the language in few words.
const SCRIPTS: &[&str] = &[
    "let state = match state of case null => {} case _ => state end; let state = patch state of upsert \"#{event.k}\" => event end; state",
    "let x = event; let event.a = patch event.a of erase \"b\"; move \"k\" => \"m\" end; let x.l = x.l + [event]; [x, event]",
    "for event.l of case (i, e) when i > 0 => let event[e] = i; let $m = event.l end; emit event => \"p#{event.k}\"",
    "fn down(n) of case (0) => [] case _ => recur(n - 1) end; let y = down(event.n); [y, event.l[0:2], event.t + \"x\"]",
    "match event of case r = %{ present a, k == \"a\" } => merge r of {\"n\": r.n + 1} end case %[] => 1 case _ => drop end",
    "use std::{array, string}; let event.l = array::push(event.l, event.n); let s = \"\"; for event.l of case (i, e) => let s = s + \"#{e}\" end; s",
    "<<event.n:8, 1:4/little, event.t/binary>>",
];
