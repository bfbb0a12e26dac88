//! From files to flows at work.

use super::TARGET;
use crate::engine::{self, Aliases, Refusal};
use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::warn;
use tremor_runtime::{Parts, Plan, Runtime};

/// Every artefact has to be of a kind that can be loaded; found out before anything is read.
pub(super) fn classify(artefacts: &[PathBuf]) -> Result<(), String> {
    let extension =
        |file: &PathBuf| file.extension().map(|extension| extension.to_string_lossy().into_owned());
    for file in artefacts {
        let extension = extension(file);
        if !matches!(extension.as_deref(), Some("troy" | "tar")) {
            let extension = extension.map_or("<NONE>".to_owned(), |extension| format!("`.{extension}`"));
            let file = file.display();
            return Err(format!("The file `{file}` has the extension {extension}, expected a `.troy` file"));
        }
    }
    match artefacts.iter().find(|file| extension(file).as_deref() == Some("tar")) {
        Some(archive) => {
            let archive = archive.display();
            Err(format!("The file `{archive}` is an archive; this version runs `.troy` files only"))
        }
        None => Ok(()),
    }
}

/// Deploys everything in `files`, in order, or nothing at all if one of them is bad.
///
/// # Errors
/// A line for each bad file; details have been shown on standard error.
pub(super) fn load(
    files: &[PathBuf],
    recursion_limit: NonZeroU32,
    parts: &Parts,
    runtime: &Arc<Runtime>,
) -> Result<(), Vec<String>> {
    let mut aliases = Aliases::default();
    let (mut all, mut problems) = (Planned::default(), Vec::new());
    for file in files {
        match plan(file, Some(recursion_limit), parts, &mut aliases) {
            Ok(planned) => {
                all.plans.extend(planned.plans);
                all.defined.extend(planned.defined);
            }
            Err(refusal) => problems.push(format!(
                "An error occurred while loading the file `{}`: {}",
                file.display(),
                refusal.message
            )),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    deploy(all, runtime).map_err(|refusal| vec![refusal.message])
}

/// The flows of files.
#[derive(Default)]
pub(super) struct Planned {
    /// Those that are deployed.
    plans: Vec<Plan>,
    /// The names of all that are defined.
    defined: BTreeSet<String>,
}

/// Plans of all flows that a file deploys.
pub(super) fn plan(
    file: &Path,
    recursion_limit: Option<NonZeroU32>,
    parts: &Parts,
    aliases: &mut Aliases,
) -> Result<Planned, Refusal> {
    let deployment = engine::deployment(file, recursion_limit)?;
    let plans = engine::plans(&deployment, parts, aliases)?;
    Ok(Planned { plans, defined: deployment.program.definitions.into_keys().collect() })
}

/// Starts flows. That there are none is no mistake (`spec/cli.md` 2.1), though hardly ever meant.
pub(super) fn deploy(Planned { plans, defined }: Planned, runtime: &Runtime) -> Result<(), Refusal> {
    if plans.is_empty() {
        let defined: String =
            defined.iter().map(|name| format!("; `{name}` is defined and never deployed")).collect();
        warn!(target: TARGET, "Nothing runs: no flow is deployed{defined}");
    }
    plans.into_iter().try_for_each(|plan| runtime.deploy(plan).map_err(Refusal::untold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deployments_are_loaded() {
        let classified = |files: &[&str]| classify(&files.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(classified(&[]), Ok(()));
        assert_eq!(classified(&["a.troy", "b.c.troy"]), Ok(()));
        for (files, words) in [
            (&["a.troy", "b"][..], ["`b`", "<NONE>", "`.troy`"]),
            (&["x.tar", "b.tremor"], ["`b.tremor`", "`.tremor`", "`.troy`"]),
            (&["x.TROY"], ["`x.TROY`", "`.TROY`", "`.troy`"]),
            (&["a.troy", "x.tar"], ["`x.tar`", "archive", "`.troy`"]),
        ] {
            let problem = classified(files).unwrap_err();
            assert!(words.iter().all(|word| problem.contains(word)), "{problem}");
        }
    }
}
