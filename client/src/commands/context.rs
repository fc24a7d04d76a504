//! The options that every command takes, and calls that outlive restarts.

use std::time::Duration;

use ddpm_client::{Client, Compiled, Error, Limits, Model, Options, Request, Retry};
use ddpm_console::note;

pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

/// The global options.
#[derive(Debug)]
pub(crate) struct Context {
    server: String,
    /// How long to go on while no server answers.
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

    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        let retry = Retry { patience: self.patience, ..Retry::default() };
        Client::connect(&self.server, Options { retry, ..Options::default() }).await
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
