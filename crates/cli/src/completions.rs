//! `tremor completions [SHELL]`: a completion script on standard output (`spec/cli.md` 2.7).

use crate::{
    CliError,
    args::{Cli, CompletionsOptions},
    output,
};
use clap::CommandFactory;
use clap_complete::Shell;
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

pub(crate) fn run(options: &CompletionsOptions) -> Result<ExitCode, CliError> {
    let shell = match options.shell {
        Some(shell) => shell,
        None => guess(&|name| std::env::var_os(name))?,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tremor", &mut script);
    output::stdout(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The shell of the user, from what shells leave in the environment.
fn guess(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Shell, CliError> {
    if env("ZSH_NAME").is_some() {
        return Ok(Shell::Zsh);
    }
    if env("PSModulePath").is_some() {
        return Ok(Shell::PowerShell);
    }
    let path = env("SHELL");
    let name = path.as_deref().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    name.and_then(|name| name.parse().ok()).ok_or_else(|| {
        CliError::new(
            "Cannot tell which shell you use; name one: bash, elvish, fish, powershell or zsh \
             (for instance `tremor completions bash`)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(pairs: &[(&str, &str)]) -> Option<Shell> {
        guess(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))).ok()
    }

    #[test]
    fn the_shell_is_guessed_in_the_documented_order() {
        assert_eq!(guessed(&[("ZSH_NAME", "zsh"), ("PSModulePath", "x")]), Some(Shell::Zsh));
        assert_eq!(guessed(&[("PSModulePath", "x"), ("SHELL", "/bin/bash")]), Some(Shell::PowerShell));
        assert_eq!(guessed(&[("SHELL", "/usr/bin/fish")]), Some(Shell::Fish));
        assert_eq!(guessed(&[("SHELL", "/bin/tcsh")]), None);
        assert_eq!(guessed(&[]), None);
    }
}
