//! `tremor server run`: the long-running server (`spec/cli.md` 2.1).

mod ending;
mod loading;
mod open_files;

use crate::{
    ALLOCATOR, CliError, Interrupts, api, api_state::RuntimeState, args::ServerRunOptions, engine, output,
};
use ending::Wishes;
use std::{path::Path, process::ExitCode, sync::Arc};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tracing::{error, info, warn};
use tremor_connector::ExitSwitch;
use tremor_runtime::Runtime;

/// Log target of the command line.
const TARGET: &str = "tremor";

/// Runs the server under the name `instance` until it is told to stop. `logs_elsewhere` says that a logger
/// configuration is in use, so that what goes to standard error has to be logged, too.
///
/// # Errors
/// If the flows do not stop in time, or the system refuses what every server needs.
pub fn run(instance: &str, logs_elsewhere: bool, options: &ServerRunOptions) -> Result<ExitCode, CliError> {
    let say = Say { logs_elsewhere };
    open_files::raise_limit();
    output::stderr_line(&format!("tremor version: {}", long_version()));
    output::stderr_line(&format!("tremor instance: {instance}"));
    info!(target: TARGET, "tremor version: {}", long_version());
    output::stderr_line(&format!("allocator: {ALLOCATOR}"));
    if let Some(file) = &options.pid {
        let written = std::fs::write(file, format!("{}\n", std::process::id()));
        if let Err(error) = written {
            let problem = format!("Failed to write the pid file `{}`: {error}", file.display());
            return Ok(say.failed_start(&[problem]));
        }
    }
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = executor.block_on(serve(instance, options, say));
    // Blocking reads of files and standard input may never return; nothing waits for them.
    executor.shutdown_background();
    ended
}

/// Runs one deployment, with debug connectors and without API, until it stops by itself
/// (`spec/cli.md` 2.2). Signals keep their default action.
///
/// # Errors
/// If it cannot be loaded, its only flow fails, or it does not stop in time.
pub fn run_once(instance: &str, file: &Path) -> Result<ExitCode, CliError> {
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = executor.block_on(async {
        let (exit, exits) = ExitSwitch::new();
        let (runtime, failures) = Runtime::new();
        let parts = engine::parts(instance, true, exit);
        let planned = loading::plan(file, None, &parts, &mut engine::Aliases::default())?;
        loading::deploy(planned, &runtime)?;
        let say = Say { logs_elsewhere: false };
        let mut wishes = Wishes { interrupts: None, exits, failures, runtime, only_flow: true, say, seen: 0 };
        let request = wishes.next().await;
        wishes.stop(request).await
    });
    executor.shutdown_background();
    ended
}

/// The version, marked if this is a debug build.
#[must_use]
pub fn long_version() -> String {
    let mark = if cfg!(debug_assertions) { " (DEBUG)" } else { "" };
    format!("{}{mark}", env!("CARGO_PKG_VERSION"))
}

async fn serve(instance: &str, options: &ServerRunOptions, say: Say) -> Result<ExitCode, CliError> {
    let (exit, exits) = ExitSwitch::new();
    let (runtime, failures) = Runtime::new();
    let parts = engine::parts(instance, options.debug_connectors, exit);
    let interrupts = Interrupts::listen()?;
    if let Err(problem) = loading::classify(&options.artefacts) {
        return Ok(say.failed_start(&[problem]));
    }
    let only_flow = !options.keep_running;
    let interrupts = Some(interrupts);
    let mut wishes =
        Wishes { interrupts, exits, failures, runtime: runtime.clone(), only_flow, say, seen: 0 };
    // On a thread that may block, so that a signal ends the loading of a file that never ends.
    let (files, recursion_limit) = (options.artefacts.clone(), options.recursion_limit);
    let loading = tokio::task::spawn_blocking({
        let runtime = runtime.clone();
        move || loading::load(&files, recursion_limit, &parts, &runtime)
    });
    let loaded = tokio::select! {
        loaded = loading => loaded.map_err(|error| CliError::new(format!("Loading broke off: {error}")))?,
        request = wishes.interrupted() => return over(wishes.stop(request).await),
    };
    if let Err(problems) = loaded {
        let _exits_with_failure_anyway = runtime.shut_down(false).await;
        return Ok(say.failed_start(&problems));
    }
    let mut api = match Api::start(options, &runtime).await {
        Ok(api) => api,
        Err(error) => {
            say.error(&format!("API Error: {error}"));
            let _exits_with_failure_anyway = runtime.shut_down(true).await;
            return Ok(ExitCode::FAILURE);
        }
    };
    let stopped = tokio::select! {
        request = wishes.next() => wishes.stop(request).await,
        () = api.ended() => {
            say.error("API Error: the API ended by itself");
            // The status of this case is its own (`spec/cli.md` 1.2).
            runtime.shut_down(true).await.map_or(Ok(ExitCode::from(2)), |()| Ok(ExitCode::FAILURE))
        }
    };
    api.stop().await;
    over(stopped)
}

/// Says that all flows have ended, which is the last that is said.
fn over(stopped: Result<ExitCode, CliError>) -> Result<ExitCode, CliError> {
    warn!(target: TARGET, "Tremor stopped.");
    stopped
}

/// Logs a text line by line: a record of the log is one.
fn log_lines(text: &str) {
    text.lines().for_each(|line| error!(target: TARGET, "{line}"));
}

/// Tells the user what is wrong.
#[derive(Clone, Copy)]
struct Say {
    /// A logger configuration is in use. Without it, a log line would only repeat what stands on standard error.
    logs_elsewhere: bool,
}

impl Say {
    fn line(self, line: &str) {
        output::stderr_line(line);
        if self.logs_elsewhere {
            log_lines(line);
        }
    }

    /// Shows something that ends the process later.
    fn error(self, message: &str) {
        output::error(message);
        if self.logs_elsewhere {
            log_lines(message);
        }
    }

    /// Says why the server does not start.
    fn failed_start(self, problems: &[String]) -> ExitCode {
        for problem in problems {
            self.line(&format!("Error: {problem}"));
        }
        self.line("We are SHUTTING DOWN due to errors during initialization!");
        ExitCode::FAILURE
    }
}

/// The API at work, if it is wanted.
struct Api {
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Api {
    async fn start(options: &ServerRunOptions, runtime: &Arc<Runtime>) -> Result<Self, CliError> {
        if options.no_api {
            return Ok(Self { running: None });
        }
        let host = &options.api_host;
        let listener = TcpListener::bind(host).await;
        let listener = listener.map_err(|error| {
            CliError::new(format!("cannot listen on {host}: {error}; choose another address with --api-host"))
        })?;
        let address = listener.local_addr()?;
        output::stderr_line(&format!("Listening at: http://{address}"));
        info!(target: TARGET, "Listening at: http://{address}");
        let (stop, stopped) = oneshot::channel::<()>();
        let state = Arc::new(RuntimeState::new(runtime.clone()));
        let task = tokio::spawn(api::serve(listener, state, async {
            let _stopped_or_gone = stopped.await.is_err();
        }));
        Ok(Self { running: Some((stop, task)) })
    }

    /// Ends when the API ends, which it does not do by itself.
    async fn ended(&mut self) {
        match &mut self.running {
            Some((_, task)) => {
                let _how = task.await;
                self.running = None;
            }
            None => std::future::pending().await,
        }
    }

    async fn stop(self) {
        if let Some((stop, task)) = self.running {
            drop(stop);
            // A task that ended by itself has nothing left to stop.
            let _ended = task.await.is_err();
        }
    }
}
