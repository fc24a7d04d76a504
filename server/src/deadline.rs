//! The time that a client allows for its call: the header `grpc-timeout`.

use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::error::{Error, Violation, shorten};

/// The header's name.
const HEADER: &str = "grpc-timeout";

/// Most digits of a timeout, by the protocol.
const MAX_DIGITS: usize = 8;

/// When the client stops waiting for the end of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Deadline {
    /// Reads the deadline of a call that arrived at `now`; `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the header is malformed: ignored, it would turn a call that
    /// somebody waits for a second into one without end.
    pub(crate) fn from_headers(headers: &HeaderMap, now: Instant) -> Result<Option<Self>, Error> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let timeout = value.to_str().ok().and_then(timeout).ok_or_else(|| {
            let found = shorten(&String::from_utf8_lossy(value.as_bytes()));
            Error::Invalid(vec![Violation {
                field: HEADER.into(),
                description: format!(
                    "must be 1 to {MAX_DIGITS} digits and one of H, M, S, m, u, n, such as 500m; \
                     got {found:?}"
                ),
            }])
        })?;
        Ok(now.checked_add(timeout).map(Self))
    }
}

/// Parses a timeout, such as `500m` for 500 ms.
///
/// # Source
///
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, "Timeout".
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = (1..=MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    let value: u64 = number.then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Duration> {
        let now = Instant::now();
        let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), text.parse().unwrap())]);
        let deadline = Deadline::from_headers(&headers, now).ok()??;
        Some(deadline.0 - now)
    }

    #[test]
    fn every_unit_of_the_protocol_is_understood() {
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parsed("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parsed("00000002S"), Some(Duration::from_secs(2)));
        assert_eq!(parsed("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(parsed("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(parsed("0n"), Some(Duration::ZERO));
    }

    #[test]
    fn a_malformed_timeout_is_refused_and_named() {
        for text in ["", "S", "1", "1s", "+1S", "-1S", "1.5S", "123456789S", " 1S", "1 S"] {
            let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), text.parse().unwrap())]);
            match Deadline::from_headers(&headers, Instant::now()) {
                Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, HEADER),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_call_without_the_header_has_no_deadline() {
        let deadline = Deadline::from_headers(&HeaderMap::new(), Instant::now());
        assert!(matches!(deadline, Ok(None)));
    }
}
