//! A connection to one server, and its unary calls.

use std::sync::Arc;
use std::time::Duration;

use ddpm_proto::v1;
use ddpm_proto::v1::model_service_client::ModelServiceClient;
use ddpm_proto::v1::sampling_service_client::SamplingServiceClient;
use ddpm_proto::v1::server_service_client::ServerServiceClient;
use tokio::sync::OnceCell;
use tonic::Request as Call;
use tonic::transport::{Channel, Endpoint};

use crate::compiled::Compiled;
use crate::error::{Error, innermost};
use crate::models::Model;
use crate::request::Request;
use crate::resume::Retry;
use crate::server_info::{Limits, ServerInfo};

/// How a client talks to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the response of a unary call.
    pub call_timeout: Duration,
    /// Pause between HTTP/2 pings while a stream is open.
    pub keep_alive_interval: Duration,
    /// Longest wait for the response to a ping; after it the stream counts as broken.
    pub keep_alive_timeout: Duration,
    /// Largest message to read. A server packs samples into messages of 1 MiB, and
    /// the previews of one step into one message.
    pub max_message_bytes: usize,
    /// How [`Client::generate_resumable`] retries after a broken stream.
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

/// A connection to one server. Clones share it; a broken connection reopens with
/// the next call.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: String,
    channel: Channel,
    options: Options,
    limits: Arc<OnceCell<Limits>>,
}

impl Client {
    /// Connects to `endpoint`, such as `http://127.0.0.1:50051`; the scheme is
    /// optional.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if `endpoint` is not an http address, and
    /// [`Error::Unreachable`] if nothing answers there in time.
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

    /// Lists the models of the server, sorted by name.
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

    /// Returns the served version of one model.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with code `NotFound` if no model has that name;
    /// otherwise as [`Client::models`].
    pub async fn model(&self, name: &str) -> Result<Model, Error> {
        let mut service = ModelServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let message = v1::GetModelRequest { model: name.to_owned(), version: String::new() };
        let answer = service.get_model(self.call(message)).await;
        let model = answer.map_err(|status| self.failed(&status))?.into_inner().model;
        Model::from_proto(model.ok_or_else(|| Error::Protocol("the model is missing".to_owned()))?)
    }

    /// Returns the server's versions, device, limits and load.
    ///
    /// # Errors
    ///
    /// As [`Client::models`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        let mut service = ServerServiceClient::new(self.channel.clone());
        let answer = service.get_server_info(self.call(v1::GetServerInfoRequest {})).await;
        ServerInfo::from_proto(answer.map_err(|status| self.failed(&status))?.into_inner())
    }

    /// Compiles a request to the rows that its run would apply, without running
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
        let call = self.call(v1::CompileRequest { request: Some(message) });
        let answer = service.compile(call).await.map_err(|status| self.failed(&status))?;
        Compiled::from_proto(answer.into_inner())
    }

    /// Opens the event stream of one `Generate` call.
    pub(crate) async fn open(
        &self,
        request: &Request,
    ) -> Result<tonic::Streaming<v1::GenerateEvent>, Error> {
        let mut service = SamplingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let stream = service.generate(request.to_proto()?).await;
        Ok(stream.map_err(|status| self.failed(&status))?.into_inner())
    }

    /// Returns the server's limits, requested once per connection.
    pub(crate) async fn limits(&self) -> Result<Limits, Error> {
        let fetch = async || self.server_info().await.map(|info| info.limits);
        self.limits.get_or_try_init(fetch).await.copied()
    }

    /// Returns how [`Client::generate_resumable`] retries after a broken stream.
    pub(crate) fn retry(&self) -> Retry {
        self.options.retry
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

/// Parses `host:port` or `http://host:port`.
fn parse_endpoint(text: &str) -> Result<Endpoint, Error> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = |why: String| Error::Request(format!("`{text}` is not a server address: {why}"));
    let endpoint = Endpoint::from_shared(url).map_err(|error| wrong(innermost(&error)))?;
    if endpoint.uri().scheme_str() != Some("http") {
        return Err(wrong("only http:// is supported; for TLS, use a tunnel".to_owned()));
    }
    endpoint
        .user_agent(concat!("ddpm-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| wrong(innermost(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_an_address_is_optional() {
        assert_eq!(parse_endpoint("localhost:50051").unwrap().uri(), "http://localhost:50051/");
        assert_eq!(parse_endpoint("http://[::1]:9").unwrap().uri(), "http://[::1]:9/");
    }

    #[test]
    fn an_invalid_address_is_a_request_error() {
        for text in ["https://example.org", "a b", "", "http://"] {
            assert!(matches!(parse_endpoint(text), Err(Error::Request(_))), "{text}");
        }
    }
}
