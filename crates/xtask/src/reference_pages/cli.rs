//! The commands, from the tree that parses them.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::markdown::{self, block, code, codes, table};

const INTRO: &str = "\
`tremor [--instance NAME] [--logger-config FILE] COMMAND`: the two options of the top level stand before the command. `--help` works \
everywhere, `tremor help COMMAND` is the same.

Exit status: 0 for success, 1 for a command that failed, 2 for a command line that cannot be understood; a flow can choose its own with an \
event for the `exit` connector. Data goes to standard output, everything else to standard error.";

/// The page.
pub(super) fn page() -> String {
    let mut root = tremor_cli::args::Cli::command();
    root.build();
    let mut page = markdown::page("Command line", INTRO);
    let mut rows = Vec::new();
    list(&root, "tremor", &mut rows);
    page.push_str(&table(["Command", "What it does"], &rows));
    describe(&root, "tremor", &mut page);
    markdown::finish(&page)
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
}

fn about(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn list(command: &Command, path: &str, rows: &mut Vec<[String; 2]>) {
    for sub in subcommands(command) {
        let path = format!("{path} {}", sub.get_name());
        if subcommands(sub).next().is_none() {
            rows.push([format!("[`{path}`](#{})", path.replace(' ', "-")), about(sub)]);
        }
        list(sub, &path, rows);
    }
}

fn describe(command: &Command, path: &str, page: &mut String) {
    let usage = command.clone().render_usage().to_string();
    // Writing to a `String` cannot fail.
    let _ = write!(page, "## {path}\n\n{}.\n\n", about(command).trim_end_matches('.'));
    page.push_str(&block("", usage.trim_start_matches("Usage: ")));
    let wanted = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let rows: Vec<[String; 3]> = command.get_arguments().filter(wanted).map(row).collect();
    page.push_str(&table(["Argument", "Default", "Meaning"], &rows));
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let lines: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        page.push_str(&block("sh", &lines.join("\n")));
    }
    for sub in subcommands(command) {
        describe(sub, &format!("{path} {}", sub.get_name()), page);
    }
}

fn row(arg: &Arg) -> [String; 3] {
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let names = arg.get_value_names().unwrap_or_default().iter().map(|name| name.as_str());
    let value = names.collect::<Vec<_>>().join(" ");
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut shown: Vec<String> = short.into_iter().chain(long).collect();
    if shown.is_empty() {
        shown.push(value);
    } else if takes_value && let Some(last) = shown.last_mut() {
        last.push_str(&format!(" {value}"));
    }
    let defaults = arg.get_default_values().iter().filter_map(|value| value.to_str());
    let default = if takes_value { codes(defaults) } else { String::new() };
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|_| takes_value)
        .map(|value| code(value.get_name()))
        .collect();
    if !possible.is_empty() {
        text.push_str(&format!(": {}", possible.join(", ")));
    }
    let is_needed = arg.is_required_set() && default.is_empty();
    let default = if is_needed { "*required*".to_owned() } else { default };
    [shown.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "), default, text]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_options_are_there() {
        let page = page();
        for part in [
            "## tremor server run\n",
            "tremor server run [OPTIONS] [ARTEFACT]...",
            "| `-a`, `--api-host HOST:PORT` | `127.0.0.1:9898` |",
            "| `-n`, `--no-api` |  |",
            "| `FILE` | *required* |",
            "`bash`, `elvish`, `fish`",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }
}
