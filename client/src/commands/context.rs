//! The options that every command takes, and calls that outlive restarts.

use std::mem;
use std::time::Duration;

use ddpm_client::{Client, Compiled, Error, Limits, Model, Options, Request, Retry};
use ddpm_console::note;

pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

/// The global options.
#[derive(Debug)]
pub(crate) struct Context {
    server: String,
    /// How long to go on without a sample while the server is away, drains or is full.
    patience: Duration,
    /// Whether to print one JSON document instead of lines.
    pub(crate) json: bool,
}

impl Context {
    pub(crate) fn new(server: String, patience: Duration, json: bool) -> Self {
        Self { server, patience, json }
    }

    /// Returns the server's address, unless it is the default one.
    pub(crate) fn other_server(&self) -> Option<&str> {
        Some(self.server.as_str()).filter(|server| *server != DEFAULT_SERVER)
    }

    /// Connects to the server, also if it is restarting.
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        let mut is_told = false;
        let tell = |error: &Error, _| {
            if !mem::replace(&mut is_told, true) {
                note!("{error}; trying again, in case it is restarting");
            }
        };
        Client::connect_patiently(&self.server, self.options(), tell).await
    }

    /// Connects to the server if it is there now.
    pub(crate) async fn connect_at_once(&self) -> Result<Client, Error> {
        Client::connect(&self.server, self.options()).await
    }

    fn options(&self) -> Options {
        let retry = Retry { patience: self.patience, ..Retry::default() };
        Options { retry, ..Options::default() }
    }
}

/// Describes a model, however often the server restarts meanwhile.
pub(super) async fn describe(client: &Client, name: &str) -> Result<Model, Error> {
    client.repeat(async || client.model(name).await, note_pause).await
}

/// Compiles a request, however often the server restarts meanwhile.
pub(super) async fn compile(client: &Client, request: &Request) -> Result<Compiled, Error> {
    client.repeat(async || client.compile(request).await, note_pause).await
}

/// Returns the server's limits, however often it restarts meanwhile.
pub(super) async fn limits(client: &Client) -> Result<Limits, Error> {
    Ok(client.repeat(async || client.server_info().await, note_pause).await?.limits)
}

/// Says why nothing happens.
pub(super) fn note_pause(error: &Error, pause: Duration) {
    note!("{error}; asking again in {:.1} s", pause.as_secs_f64());
}
