//! The options that every command takes.

use ddpm_client::{Client, Error, Options};

pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

/// The global options.
#[derive(Debug)]
pub(crate) struct Context {
    server: String,
    /// Whether to print one JSON document instead of lines.
    pub(crate) json: bool,
}

impl Context {
    pub(crate) fn new(server: String, json: bool) -> Self {
        Self { server, json }
    }

    /// Returns the server's address, unless it is the default one.
    pub(crate) fn other_server(&self) -> Option<&str> {
        Some(self.server.as_str()).filter(|server| *server != DEFAULT_SERVER)
    }

    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        Client::connect(&self.server, Options::default()).await
    }
}
