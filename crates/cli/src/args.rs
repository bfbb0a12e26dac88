//! The command tree and the options of every command (`spec/cli.md` 1 and 2).

use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue},
};
use clap_complete::Shell;
use std::{num::NonZeroU32, path::PathBuf};

const SERVER_RUN_EXAMPLES: &str = "Examples:
  tremor server run config.troy
  tremor server run --no-api config.troy | jq .
  RUST_LOG=info tremor server run --api-host 0.0.0.0:9898 one.troy two.troy";

const RUN_EXAMPLES: &str = "Examples:
  echo '{\"n\": 1}' | tremor run script.tremor
  tremor run --decoder string --infile app.log --outfile app.json query.trickle
  tremor run flow.troy";

const TEST_EXAMPLES: &str = "Examples:
  tremor test integration .
  tremor test --timeout 60 --excludes slow all tests";

const CHECK_EXAMPLES: &str = "Examples:
  tremor check config.troy lib/*.tremor";

const DEV_CERT_EXAMPLES: &str = "Examples:
  tremor dev-cert
  tremor dev-cert --out tls --days 30 example.test 10.0.0.1";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  source <(tremor completions bash)
  tremor completions fish > ~/.config/fish/completions/tremor.fish";

/// Event pipelines between connectors.
#[derive(Debug, Parser)]
#[command(name = "tremor", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// Name of this instance; scripts see it as `system::instance()`
    #[arg(short, long, value_name = "NAME", default_value = "tremor")]
    pub instance: String,

    /// Logger configuration file; without it `RUST_LOG` decides what is logged to standard error
    #[arg(short, long, value_name = "FILE")]
    pub logger_config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the top level.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run flows as a server
    #[command(arg_required_else_help = true, subcommand_required = true)]
    Server {
        /// What the server does.
        #[command(subcommand)]
        command: ServerCommand,
    },
    /// Run one script, query or deployment to its end
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunOptions),
    /// Run test suites
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestOptions),
    /// Find mistakes in files without running them: prints reports, opens nothing, exits with 0 or 1
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckOptions),
    /// Write a self-signed certificate and its key, to try TLS with
    #[command(after_help = DEV_CERT_EXAMPLES)]
    DevCert(DevCertOptions),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsOptions),
}

/// The commands below `tremor server`.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Start the flows that the given files deploy, and run until told to stop
    #[command(after_help = SERVER_RUN_EXAMPLES)]
    Run(ServerRunOptions),
}

/// Options of `tremor server run`.
#[derive(Debug, Args)]
pub struct ServerRunOptions {
    /// Files to deploy (`.troy`), in this order; if one of them is bad, nothing is started
    #[arg(value_name = "ARTEFACT")]
    pub artefacts: Vec<PathBuf>,

    /// Write the process id to this file
    #[arg(short, long, value_name = "FILE")]
    pub pid: Option<PathBuf>,

    /// Do not start the HTTP API, which shows and pauses flows
    #[arg(short, long)]
    pub no_api: bool,

    /// Also offer the connector types that are made for tests: `bench` and `cb`
    #[arg(short, long)]
    pub debug_connectors: bool,

    /// Address of the API (no access control)
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:9898", value_parser = host_and_port)]
    pub api_host: String,

    /// Most rounds that a script function takes by `recur`
    #[arg(short, long, value_name = "N", default_value = "1024")]
    pub recursion_limit: NonZeroU32,

    /// Go on when the only flow failed to start, and answer for it at the API
    #[arg(long)]
    pub keep_running: bool,
}

/// Options of `tremor run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// File to run: `.tremor`, `.trickle` or `.troy`
    pub script: PathBuf,

    /// Codec of the results
    #[arg(short, long, value_name = "CODEC", default_value = "json")]
    pub encoder: String,

    /// Codec of the input
    #[arg(short, long, value_name = "CODEC", default_value = "json")]
    pub decoder: String,

    /// File to read, `-` for standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub infile: PathBuf,

    /// File to write (emptied first), `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub outfile: PathBuf,

    /// Preprocessor between reading and decoding
    #[arg(long, value_name = "NAME", default_value = "separate")]
    pub preprocessor: String,

    /// Postprocessor after encoding
    #[arg(long, value_name = "NAME", default_value = "separate")]
    pub postprocessor: String,

    /// Has no effect; accepted for older command lines
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<String>,

    /// Echo every event as it comes in and goes out
    #[arg(long)]
    pub interactive: bool,

    /// Spread the values that `--interactive` echoes over several lines
    #[arg(long)]
    pub pretty: bool,
}

/// Options of `tremor test`.
#[derive(Debug, Args)]
pub struct TestOptions {
    /// Kind of tests to run
    #[arg(value_enum, default_value_t = TestMode::All)]
    pub mode: TestMode,

    /// Folder with test suites, or a single test folder
    #[arg(default_value = "tests")]
    pub path: PathBuf,

    /// Write a JSON report to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Run only tests with this tag (repeatable; wins over `--excludes`)
    #[arg(short, long, value_name = "TAG")]
    pub includes: Vec<String>,

    /// Leave out tests with this tag (repeatable)
    #[arg(short, long, value_name = "TAG")]
    pub excludes: Vec<String>,

    /// Show skipped command cases, too
    #[arg(short, long)]
    pub verbose: bool,

    /// Limit in seconds for each integration test
    #[arg(short, long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub timeout: Option<u64>,
}

/// Which kind of suites `tremor test` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(
    missing_docs,
    reason = "a text per value would replace the line `[possible values: ...]` of the help"
)]
pub enum TestMode {
    All,
    Bench,
    Command,
    Integration,
    Unit,
}

/// Options of `tremor check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// Files to check: `.troy`, `.trickle` or `.tremor`
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Options of `tremor dev-cert`.
#[derive(Debug, Args)]
pub struct DevCertOptions {
    /// Host names and IP addresses that the certificate is for
    #[arg(value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    pub names: Vec<String>,

    /// Folder for `cert.pem` and `key.pem`; made if need be
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,

    /// Days that the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,

    /// Replace files that are already there
    #[arg(long)]
    pub force: bool,
}

/// Options of `tremor completions`.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// Shell to write for; guessed from the environment if not given
    #[arg(value_enum)]
    pub shell: Option<Shell>,
}

/// Adds the usage line of the command that `args` (program name first) lead to, if `error` has none: the parser
/// leaves it out for bad values.
pub fn add_usage(error: &mut clap::Error, args: impl IntoIterator<Item = std::ffi::OsString>) {
    if !error.use_stderr() || error.get(ContextKind::Usage).is_some() {
        return;
    }
    let mut command = Cli::command();
    command.build();
    for arg in args.into_iter().skip(1) {
        if let Some(sub) = command.find_subcommand(&arg) {
            command = sub.clone();
        }
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
}

/// Accepts `HOST:PORT` as it is written; the host is looked up only when the server listens.
fn host_and_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, for instance 127.0.0.1:9898")?;
    if host.is_empty() {
        return Err("the host is missing; for every interface write 0.0.0.0:PORT".to_owned());
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address has to stand in brackets: [::1]:PORT".to_owned());
    }
    port.parse::<u16>().map_err(|_| format!("`{port}` is not a port (0 to 65535)"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_between_positionals() {
        let Command::Test(test) =
            parse("tremor test -i a integration -e b tests -i c -v -t 5").unwrap().command
        else {
            panic!("not a test command");
        };
        assert_eq!(test.mode, TestMode::Integration);
        assert_eq!(test.path, PathBuf::from("tests"));
        assert_eq!(test.includes, ["a", "c"]);
        assert_eq!(test.excludes, ["b"]);
        assert_eq!((test.verbose, test.timeout), (true, Some(5)));
    }

    #[test]
    fn one_value_per_occurrence_and_no_comma_splitting() {
        let Command::Test(test) = parse("tremor test -i a,b all x").unwrap().command else {
            panic!("not a test command");
        };
        assert_eq!(test.includes, ["a,b"]);
        assert!(parse("tremor test -i a b all x").is_err());
    }

    #[test]
    fn globals_belong_before_the_subcommand() {
        let cli = parse("tremor -i edge -l log.yaml server run a.troy").unwrap();
        assert_eq!((cli.instance.as_str(), cli.logger_config), ("edge", Some(PathBuf::from("log.yaml"))));
        let error = parse("tremor server run a.troy -l log.yaml").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn server_run_has_its_defaults() {
        let Command::Server { command: ServerCommand::Run(run) } =
            parse("tremor server run").unwrap().command
        else {
            panic!("not a server command");
        };
        assert!(run.artefacts.is_empty() && !run.no_api && !run.debug_connectors && !run.keep_running);
        assert_eq!(run.api_host, "127.0.0.1:9898");
        assert_eq!(run.recursion_limit.get(), 1024);
    }

    #[test]
    fn bad_values_are_usage_errors() {
        for line in [
            "tremor server run -a localhost",
            "tremor server run -a :80",
            "tremor server run -a ::1:80",
            "tremor server run -a h:99999",
            "tremor server run -r 0",
            "tremor server run -f x.troy",
            "tremor test Unit",
            "tremor test -q",
            "tremor test -t 0",
            "tremor check",
            "tremor dev-cert --days 0",
            "tremor run",
            "tremor nothing",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
            assert!(error.to_string().starts_with("error:"), "{line}: {error}");
        }
        assert!(parse("tremor server run -a [::1]:80").is_ok());
    }
}
