//! A connection to one server, and its unary calls.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ddpm_proto::v1;
use ddpm_proto::v1::model_service_client::ModelServiceClient;
use ddpm_proto::v1::sampling_service_client::SamplingServiceClient;
use ddpm_proto::v1::server_service_client::ServerServiceClient;
use tokio::net::lookup_host;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};
use tonic::Request as Call;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::{Authority, InvalidUri};
use tonic::transport::{Channel, Endpoint};

use crate::compiled::Compiled;
use crate::error::{Error, innermost};
use crate::estimate::Estimate;
use crate::models::Model;
use crate::parts::parts;
use crate::request::Request;
use crate::retry::{Backoff, Retry};
use crate::server_info::{Limits, ServerInfo};

/// The server's default port.
const DEFAULT_PORT: u16 = 50051;

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
    /// How [`Client::generate_resumable`] and [`Client::repeat`] retry.
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
    /// Whether a server ever answered.
    reached: Arc<AtomicBool>,
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
        let (limits, reached) = (Arc::default(), Arc::default());
        Ok(Self { endpoint: endpoint.to_owned(), channel, options, limits, reached })
    }

    /// Connects as [`Client::connect`] does, and tries again for up to 3 s while nothing answers:
    /// a server may be restarting. A name without an address is an error at once.
    ///
    /// * `before_pause`: is told each error after which it tries again, and the pause.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect_patiently(
        endpoint: &str,
        options: Options,
        before_pause: impl FnMut(&Error, Duration),
    ) -> Result<Self, Error> {
        let connect = async || match Self::connect(endpoint, options).await {
            Err(error @ Error::Unreachable { .. }) if has_address(endpoint).await => Err(error),
            final_result => Ok(final_result),
        };
        repeat(options.retry, || false, connect, before_pause).await?
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
        let models = self.answered(answer)?.models;
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
        let model = self.answered(answer)?.model;
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
        ServerInfo::from_proto(self.answered(answer)?)
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
        Compiled::from_proto(self.answered(service.compile(call).await)?)
    }

    /// Estimates what `request` would cost and when it would be done, without running it.
    ///
    /// # Errors
    ///
    /// As [`Client::generate`], except that a full queue, a quota that is used up and a deadline
    /// that cannot be met are no errors here.
    pub async fn estimate(&self, request: &Request) -> Result<Estimate, Error> {
        let mut service = SamplingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let parts = parts(request, &self.limits().await?)?;
        let first = parts.front().unwrap_or(request);
        let answer = service.estimate(self.call(first.to_proto()?)).await;
        let estimate = Estimate::from_proto(&self.answered(answer)?)?;
        Ok(estimate.of_a_part(first.indices.count(), request.indices.count()))
    }

    /// Repeats `call` while its error may pass, as [`Options::retry`] says. Where nothing has
    /// ever answered, it gives up after a few seconds.
    ///
    /// * `call`: such as `async || client.models().await`.
    /// * `before_pause`: is told each such error, and the pause after it.
    ///
    /// # Errors
    ///
    /// The last error of `call`.
    pub async fn repeat<T>(
        &self,
        call: impl AsyncFnMut() -> Result<T, Error>,
        before_pause: impl FnMut(&Error, Duration),
    ) -> Result<T, Error> {
        repeat(self.options.retry, || self.is_reached(), call, before_pause).await
    }

    /// Opens the event stream of one `Generate` call.
    ///
    /// * `timeout`: what is left until the deadline of the run.
    pub(crate) async fn open(
        &self,
        request: &Request,
        timeout: Option<Duration>,
    ) -> Result<tonic::Streaming<v1::GenerateEvent>, Error> {
        let mut service = SamplingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.max_message_bytes);
        let mut call = Call::new(request.to_proto()?);
        if let Some(timeout) = timeout {
            call.set_timeout(timeout);
        }
        self.answered(service.generate(call).await)
    }

    /// Returns the server's limits, requested once per connection.
    pub(crate) async fn limits(&self) -> Result<Limits, Error> {
        let fetch = async || self.server_info().await.map(|info| info.limits);
        self.limits.get_or_try_init(fetch).await.copied()
    }

    /// Returns how runs and calls are retried.
    pub(crate) fn retry(&self) -> Retry {
        self.options.retry
    }

    fn call<T>(&self, message: T) -> Call<T> {
        let mut call = Call::new(message);
        call.set_timeout(self.options.call_timeout);
        call
    }

    /// Returns whether a server ever answered.
    pub(crate) fn is_reached(&self) -> bool {
        self.reached.load(Relaxed)
    }

    fn answered<T>(&self, answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Error> {
        let answer = answer.map_err(|status| Error::from_opening(&status, &self.endpoint));
        if matches!(answer, Ok(_) | Err(Error::Refused(_))) {
            self.reached.store(true, Relaxed);
        }
        Ok(answer?.into_inner())
    }
}

/// Repeats `call` while its error may pass.
async fn repeat<T>(
    retry: Retry,
    is_reached: impl Fn() -> bool,
    mut call: impl AsyncFnMut() -> Result<T, Error>,
    mut before_pause: impl FnMut(&Error, Duration),
) -> Result<T, Error> {
    let mut backoff = Backoff::new(retry);
    loop {
        backoff.begins(Instant::now());
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(pause) = backoff.pause(&error, is_reached(), Instant::now()) else {
            return Err(error);
        };
        before_pause(&error, pause);
        sleep(pause).await;
    }
}

/// Returns whether the host of an endpoint is an address, or a name that has one.
async fn has_address(endpoint: &str) -> bool {
    let Ok(endpoint) = parse_endpoint(endpoint) else { return false };
    let Some(authority) = endpoint.uri().authority() else { return false };
    let host = authority.host().trim_matches(['[', ']']);
    lookup_host((host, authority.port_u16().unwrap_or(80)))
        .await
        .is_ok_and(|mut found| found.next().is_some())
}

/// Parses `host`, `host:port` or `http://host:port`.
fn parse_endpoint(text: &str) -> Result<Endpoint, Error> {
    let wrong = |why: String| Error::Request(format!("`{text}` is not a server address: {why}"));
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = url.parse().map_err(|error: InvalidUri| {
        let hint =
            if text.matches(':').count() > 2 { "; IPv6 needs brackets: [::1]:50051" } else { "" };
        wrong(format!("{error}{hint}"))
    })?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("only http:// is supported; for TLS, use a tunnel".to_owned()));
    }
    let authority = uri.authority().ok_or_else(|| wrong("it names no host".to_owned()))?;
    check_host(authority.host()).and_then(|()| check_port(authority)).map_err(wrong)?;
    let url = match authority.port() {
        // A URL without a port means port 80; a bare host, the server's own.
        None if !text.contains("://") => format!("{url}:{DEFAULT_PORT}"),
        _ => url,
    };
    let endpoint = Endpoint::from_shared(url).map_err(|error| wrong(innermost(&error)))?;
    endpoint
        .user_agent(concat!("ddpm-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| wrong(innermost(&error)))
}

/// Refuses what the system would reinterpret: it reads 1.2.3 as 1.2.0.3, and looks 300.1.1.1 up as
/// a name.
fn check_host(host: &str) -> Result<(), String> {
    let is_numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.') || host.starts_with("0x");
    if is_numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!("{host} is no IPv4 address: it needs four numbers from 0 to 255"));
    }
    Ok(())
}

/// Refuses a port that HTTP libraries would ignore, and take 80 instead.
fn check_port(authority: &Authority) -> Result<(), String> {
    // In brackets, colons are part of the host.
    let after_host = authority.as_str().rsplit(']').next().unwrap_or_default();
    match (after_host.rsplit_once(':'), authority.port_u16()) {
        (None, _) | (Some(_), Some(1..)) => Ok(()),
        (Some((_, port)), _) => Err(format!("its port must be in 1..=65535, got `{port}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_or_an_address_out_of_range_is_refused_not_reinterpreted() {
        for text in [
            "127.0.0.1:99999",
            "localhost:abc",
            "localhost:",
            "[::1]:65536",
            "http://localhost:0",
            "300.1.1.1:50051",
            "1.2.3:5",
            "0x7f.1:50051",
            "::1:50051",
        ] {
            let refused = parse_endpoint(text);
            assert!(matches!(refused, Err(Error::Request(_))), "{text}: {refused:?}");
        }
        let port = parse_endpoint("127.0.0.1:70000").unwrap_err().to_string();
        assert!(port.contains("1..=65535, got `70000`"), "{port}");
    }

    #[tokio::test]
    async fn an_address_needs_no_name_and_a_name_may_have_no_address() {
        for endpoint in ["127.0.0.1:9", "http://[::1]:9", "[::1]"] {
            assert!(has_address(endpoint).await, "{endpoint}");
        }
        // No name has more than 63 letters between its dots.
        assert!(!has_address(&"x".repeat(64)).await);
    }

    #[test]
    fn a_bare_host_means_the_default_port() {
        for (text, uri) in [
            ("localhost", "http://localhost:50051/"),
            ("[::1]", "http://[::1]:50051/"),
            ("http://localhost", "http://localhost/"),
        ] {
            assert_eq!(parse_endpoint(text).unwrap().uri(), uri);
        }
    }

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
