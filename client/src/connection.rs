//! A connection to one server, and the calls that answer at once.

use std::{sync::Arc, time::Duration};

use ddpm_proto::v1::{
    self, model_service_client::ModelServiceClient, sampling_service_client::SamplingServiceClient,
    server_service_client::ServerServiceClient,
};
use tokio::sync::OnceCell;
use tonic::{
    Request as Call,
    transport::{Channel, Endpoint},
};

use crate::{
    compiled::Compiled,
    error::{Error, innermost},
    generation::Generation,
    models::Model,
    request::Request,
    resume::Retry,
    server_info::{Limits, ServerInfo},
};

/// How a client talks to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the answer of a call that is no stream.
    pub call_timeout: Duration,
    /// Pause between HTTP/2 pings while a stream is open.
    pub keep_alive_interval: Duration,
    /// Longest wait for the answer of a ping; then the stream counts as broken.
    pub keep_alive_timeout: Duration,
    /// Largest message to read. A server packs samples to 1 MiB, and previews of
    /// one step into one message.
    pub max_message_bytes: usize,
    /// How [`Client::generate_resumable`] goes on after a broken stream.
    pub retry: Retry,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(20),
            max_message_bytes: 64 << 20,
            retry: Retry::default(),
        }
    }
}

/// A connection to one server. Clones share it; after a break it opens again by
/// itself with the next call.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: String,
    channel: Channel,
    options: Options,
    limits: Arc<OnceCell<Limits>>,
}

impl Client {
    /// Connects to `endpoint`, such as `http://127.0.0.1:50051`; the scheme may
    /// be left out.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if `endpoint` is no http address, and
    /// [`Error::Unreachable`] if nobody answers there in time.
    pub async fn connect(endpoint: &str, options: Options) -> Result<Self, Error> {
        let channel = parse_endpoint(endpoint)?
            .connect_timeout(options.connect_timeout)
            .http2_keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout)
            .connect()
            .await
            .map_err(|error| Error::Unreachable {
                endpoint: endpoint.to_owned(),
                cause: innermost(&error),
            })?;
        let limits = Arc::default();
        Ok(Self { endpoint: endpoint.to_owned(), channel, options, limits })
    }

    /// All models of the server, sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Refused`] or [`Error::Protocol`].
    pub async fn models(&self) -> Result<Vec<Model>, Error> {
        let mut service = ModelServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let answer = service.list_models(self.call(v1::ListModelsRequest {})).await;
        let models = answer.map_err(|status| self.failed(&status))?.into_inner().models;
        models.into_iter().map(Model::from_proto).collect()
    }

    /// The served version of one model.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with code `NotFound` if there is none of that name;
    /// otherwise as [`Client::models`].
    pub async fn model(&self, name: &str) -> Result<Model, Error> {
        let mut service = ModelServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let ask = v1::GetModelRequest { model: name.to_owned(), version: String::new() };
        let answer = service.get_model(self.call(ask)).await;
        let model = answer.map_err(|status| self.failed(&status))?.into_inner().model;
        Model::from_proto(model.ok_or_else(|| Error::Protocol("the model is missing".to_owned()))?)
    }

    /// The server's versions, device, limits and load.
    ///
    /// # Errors
    ///
    /// As [`Client::models`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        let mut service = ServerServiceClient::new(self.channel.clone());
        let answer = service.get_server_info(self.call(v1::GetServerInfoRequest {})).await;
        ServerInfo::from_proto(answer.map_err(|status| self.failed(&status))?.into_inner())
    }

    /// Compiles a request to the rows that a run of it would apply, without running
    /// them. Its indices do not matter.
    ///
    /// # Errors
    ///
    /// As [`Client::generate`].
    pub async fn compile(&self, request: &Request) -> Result<Compiled, Error> {
        let mut service = SamplingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let message = request.to_proto()?;
        let message = v1::GenerateRequest { samples: None, preview: None, ..message };
        let ask = self.call(v1::CompileRequest { request: Some(message) });
        let answer = service.compile(ask).await.map_err(|status| self.failed(&status))?;
        Compiled::from_proto(answer.into_inner())
    }

    /// Starts a run and gives its events. A stream that breaks is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the server will not do it, [`Error::Unreachable`], and
    /// [`Error::Request`] for what cannot be asked.
    pub async fn generate(&self, request: Request) -> Result<Generation, Error> {
        Generation::open(self.clone(), request).await
    }

    /// As [`Client::generate`], but a stream that breaks, or a server that says
    /// when to come back, is asked again for what is missing, as often as
    /// [`Options::retry`] allows. The call starts with the first event read.
    #[must_use]
    pub fn generate_resumable(&self, request: Request) -> Generation {
        Generation::resumable(self.clone(), request, self.options.retry)
    }

    pub(crate) async fn open(
        &self,
        request: &Request,
    ) -> Result<tonic::Streaming<v1::GenerateEvent>, Error> {
        let mut service = SamplingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let stream = service.generate(request.to_proto()?).await;
        Ok(stream.map_err(|status| self.failed(&status))?.into_inner())
    }

    /// What the server holds requests to, asked for once.
    pub(crate) async fn limits(&self) -> Result<Limits, Error> {
        let ask = async || self.server_info().await.map(|info| info.limits);
        self.limits.get_or_try_init(ask).await.copied()
    }

    fn call<T>(&self, message: T) -> Call<T> {
        let mut call = Call::new(message);
        call.set_timeout(self.options.call_timeout);
        call
    }

    fn failed(&self, status: &tonic::Status) -> Error {
        Error::from_opening(status, &self.endpoint)
    }
}

/// `host:port` or `http://host:port`.
fn parse_endpoint(text: &str) -> Result<Endpoint, Error> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = |why: String| Error::Request(format!("`{text}` is no server address: {why}"));
    let endpoint = Endpoint::from_shared(url).map_err(|error| wrong(innermost(&error)))?;
    if endpoint.uri().scheme_str() != Some("http") {
        return Err(wrong("only http:// is spoken; for TLS put a tunnel in between".to_owned()));
    }
    endpoint
        .user_agent(concat!("ddpm-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| wrong(innermost(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_its_scheme() {
        assert_eq!(parse_endpoint("localhost:50051").unwrap().uri(), "http://localhost:50051/");
        assert_eq!(parse_endpoint("http://[::1]:9").unwrap().uri(), "http://[::1]:9/");
    }

    #[test]
    fn an_address_that_is_none_is_a_wrong_request() {
        for text in ["https://example.org", "a b", "", "http://"] {
            assert!(matches!(parse_endpoint(text), Err(Error::Request(_))), "{text}");
        }
    }
}
