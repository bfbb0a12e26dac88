//! How soon a script has had its one event.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Stdio,
    time::Instant,
};

use super::start;
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
    },
    error::{Doing as _, Error, Result},
};

pub(super) const CASE: Case = Case {
    name: "start run",
    what: "`run` of a script of one line on one event until it has ended",
    reference: "`--version` of the same binary until it has ended",
    unit: "ms",
    aim: Aim::AtMostMore(10.0),
    runs: 20,
    prepare: |bench| Ok(Box::new(StartRun::new(bench)?)),
};

const SCRIPT: &str = "event.number + 1\n";
const INPUT: &str = "{\"number\": 41}\n";
const OUTPUT: &str = "42\n";

struct StartRun {
    script: PathBuf,
    input: PathBuf,
    output: PathBuf,
}

impl StartRun {
    fn new(bench: &Bench) -> Result<Self> {
        let folder = bench.folder.path();
        let (script, input, output) =
            (folder.join("one.tremor"), folder.join("one.json"), folder.join("one.out"));
        fs::write(&script, SCRIPT).doing(|| format!("write {}", script.display()))?;
        fs::write(&input, INPUT).doing(|| format!("write {}", input.display()))?;
        Ok(Self { script, input, output })
    }
}

impl Contest for StartRun {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        let input = File::open(&self.input).doing(|| format!("open {}", self.input.display()))?;
        let output = File::create(&self.output).doing(|| format!("create {}", self.output.display()))?;
        let mut command = bench.program.command(&["run"]);
        command.arg(&self.script).stdin(Stdio::from(input)).stdout(Stdio::from(output));
        let start = Instant::now();
        bench.children.spawn("`tremor run`", &mut command)?.finish(start::LIMIT)?;
        let sample = start::since(start);
        let written = fs::read_to_string(&self.output).doing(|| format!("read {}", self.output.display()))?;
        if written != OUTPUT {
            let problem = format!("{written:?} instead of {OUTPUT:?}");
            return Err(Error::WrongResult { path: self.output.clone(), problem });
        }
        Ok(sample)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        start::empty_main(bench)
    }
}
