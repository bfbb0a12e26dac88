//! `tremor server run`: the long-running server (`spec/cli.md` 2.1).

use crate::{
    ALLOCATOR, CliError, Interrupts, api, api_state::RuntimeState, args::ServerRunOptions, engine, output,
};
use rustix::process::Signal;
use std::{path::Path, process::ExitCode, sync::Arc};
use tokio::{net::TcpListener, sync::mpsc, sync::oneshot};
use tracing::{info, warn};
use tremor_connector::{ExitRequest, ExitSwitch};
use tremor_runtime::{Failure, Parts, Runtime};

/// Log target of the command line.
const TARGET: &str = "tremor";

/// Runs the server under the name `instance` until it is told to stop.
///
/// # Errors
/// If the start-up fails.
pub fn run(instance: &str, options: &ServerRunOptions) -> Result<ExitCode, CliError> {
    output::stderr_line(&format!("tremor version: {}", long_version()));
    output::stderr_line(&format!("tremor instance: {instance}"));
    info!(target: TARGET, "tremor version: {}", long_version());
    output::stderr_line(&format!("allocator: {ALLOCATOR}"));
    if let Some(file) = &options.pid {
        let written = std::fs::write(file, format!("{}\n", std::process::id()));
        written.map_err(|error| {
            CliError::new(format!("cannot write the pid file {}: {error}", file.display()))
        })?;
    }
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = executor.block_on(serve(instance, options));
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
        load(file, &engine::parts(instance, true, exit), &runtime)?;
        let wishes = Wishes { interrupts: None, exits, failures, runtime: runtime.clone(), only_flow: true };
        let ExitRequest { graceful, code } = wishes.next().await;
        let stopped = runtime.shut_down(graceful).await;
        stopped.map(|()| ExitCode::from(code)).map_err(|timeout| CliError::new(timeout.to_string()))
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

async fn serve(instance: &str, options: &ServerRunOptions) -> Result<ExitCode, CliError> {
    let interrupts = Interrupts::listen()?;
    let (exit, exits) = ExitSwitch::new();
    let (runtime, failures) = Runtime::new();
    let parts = engine::parts(instance, options.debug_connectors, exit);
    let loaded = check_kinds(options).and_then(|()| load_all(options, &parts, &runtime));
    if let Err(error) = loaded {
        output::stderr_line(&format!("Error: {error}"));
        output::stderr_line("We are SHUTTING DOWN due to errors during initialization!");
        return Ok(ExitCode::FAILURE);
    }
    let api = match Api::start(options, &runtime).await {
        Ok(api) => api,
        Err(error) => {
            output::error(&format!("API Error: {error}"));
            let _exits_with_failure_anyway = runtime.shut_down(true).await;
            return Ok(ExitCode::FAILURE);
        }
    };
    let only_flow = !options.keep_running;
    let wishes =
        Wishes { interrupts: Some(interrupts), exits, failures, runtime: runtime.clone(), only_flow };
    let ExitRequest { graceful, code } = wishes.next().await;
    let stopped = runtime.shut_down(graceful).await;
    api.stop().await;
    warn!(target: TARGET, "Tremor stopped.");
    match stopped {
        Ok(()) => Ok(ExitCode::from(code)),
        Err(timeout) => Err(CliError::new(timeout.to_string())),
    }
}

/// Every artefact has to be of a kind that can be loaded; found out before anything is.
fn check_kinds(options: &ServerRunOptions) -> Result<(), CliError> {
    for file in &options.artefacts {
        let extension = file.extension().map_or("<NONE>".into(), |extension| extension.to_string_lossy());
        if extension != "troy" {
            let file = file.display();
            return Err(CliError::new(format!(
                "`{file}` has the extension {extension}, but a `.troy` file was expected"
            )));
        }
    }
    Ok(())
}

fn load_all(options: &ServerRunOptions, parts: &Parts, runtime: &Runtime) -> Result<(), CliError> {
    options.artefacts.iter().try_for_each(|file| {
        load(file, parts, runtime).map_err(|error| {
            CliError::new(format!("An error occurred while loading the file `{}`: {error}", file.display()))
        })
    })
}

fn load(file: &Path, parts: &Parts, runtime: &Runtime) -> Result<(), CliError> {
    let deployment = engine::deployment(file)?;
    for plan in engine::plans(&deployment, parts)? {
        runtime.deploy(plan).map_err(CliError::new)?;
    }
    Ok(())
}

/// Everything that can end the server.
struct Wishes {
    /// Signals, where they are not left to their default action.
    interrupts: Option<Interrupts>,
    exits: mpsc::UnboundedReceiver<ExitRequest>,
    failures: mpsc::UnboundedReceiver<Failure>,
    runtime: Arc<Runtime>,
    /// A flow that fails to start ends the process if it is the only one.
    only_flow: bool,
}

impl Wishes {
    async fn next(mut self) -> ExitRequest {
        loop {
            tokio::select! {
                signal = interrupted(self.interrupts.as_ref()) => {
                    info!(target: TARGET, "Received SIGNAL: {}", name_of(signal));
                    return ExitRequest { graceful: signal != Signal::QUIT.as_raw(), code: 0 };
                }
                Some(request) = self.exits.recv() => return request,
                Some(failure) = self.failures.recv() => {
                    if self.only_flow && self.runtime.flows().len() == 1 {
                        output::error(&format!("the only flow `{}` failed to start: {}", failure.flow, failure.cause));
                        return ExitRequest { graceful: true, code: 1 };
                    }
                }
            }
        }
    }
}

async fn interrupted(interrupts: Option<&Interrupts>) -> i32 {
    match interrupts {
        Some(interrupts) => interrupts.more_than(0).await,
        None => std::future::pending().await,
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        signal if signal == Signal::INT.as_raw() => "SIGINT",
        signal if signal == Signal::QUIT.as_raw() => "SIGQUIT",
        _ => "SIGTERM",
    }
}

/// The API at work, if it is wanted.
struct Api {
    running: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
}

impl Api {
    async fn start(options: &ServerRunOptions, runtime: &Arc<Runtime>) -> Result<Self, CliError> {
        if options.no_api {
            return Ok(Self { running: None });
        }
        let host = &options.api_host;
        let listener = TcpListener::bind(host).await;
        let listener =
            listener.map_err(|error| CliError::new(format!("cannot listen on {host}: {error}")))?;
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

    async fn stop(self) {
        if let Some((stop, task)) = self.running {
            drop(stop);
            // A task that ended by itself has nothing left to stop.
            let _ended = task.await.is_err();
        }
    }
}
