//! A run with more samples than one request may have → several requests, in sequence.
//!
//! Each part is a request of its own that matches the first: the same seed, and
//! `expect` from its receipt. Each carries everything samples start from.

use std::collections::VecDeque;

use prost::Message;

use crate::error::Error;
use crate::request::Request;
use crate::server_info::Limits;

/// Splits `request` into requests within `limits`, in the order of their indices.
///
/// # Errors
///
/// [`Error::Request`] if the number of steps contradicts that of a stride, or if the
/// request is larger than the server accepts.
pub(crate) fn parts(request: &Request, limits: &Limits) -> Result<VecDeque<Request>, Error> {
    let bytes = request.to_proto()?.encoded_len() as u64;
    if limits.max_request_bytes > 0 && bytes > limits.max_request_bytes {
        return Err(Error::Request(format!(
            "the request has {bytes} bytes, but this server accepts at most {}: send fewer states \
             or pictures at once",
            limits.max_request_bytes
        )));
    }
    // A server that reports no limit gets the whole request, and may refuse it.
    if limits.max_samples == 0 || request.indices.count() <= limits.max_samples {
        return Ok(VecDeque::from([request.clone()]));
    }
    let mut parts: VecDeque<Request> = request
        .indices
        .chunks(limits.max_samples)
        .into_iter()
        .map(|part| request.only(part))
        .collect();
    // No indices means the first samples, which are in the first part.
    for later in parts.iter_mut().skip(1) {
        later.watch = later.watch.take().filter(|watch| !watch.indices.is_empty());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Data;
    use crate::indices::Indices;
    use crate::initial::Initial;
    use crate::request::Watch;
    use crate::settings::{Delivery, Frames};

    fn limits(max_samples: u32, max_request_bytes: u64) -> Limits {
        Limits { max_samples, max_request_bytes, ..Limits::default() }
    }

    fn watch(indices: &[u64]) -> Watch {
        Watch {
            indices: indices.to_vec(),
            frames: Frames::Xt,
            every_steps: 1,
            format: None,
            delivery: Delivery::All,
        }
    }

    #[test]
    fn each_part_watches_its_own_samples() {
        let indices: Indices = "0-4,10".parse().unwrap();
        let request = Request::new("m", indices).watch(watch(&[1, 4]));

        let parts = parts(&request, &limits(2, 0)).unwrap();

        let shown: Vec<String> = parts.iter().map(|part| part.indices.to_string()).collect();
        assert_eq!(shown, ["0-1", "2-3", "4,10"]);
        let watched: Vec<Option<Vec<u64>>> =
            parts.into_iter().map(|part| part.watch.map(|watch| watch.indices)).collect();
        assert_eq!(watched, [Some(vec![1]), None, Some(vec![4])]);
    }

    #[test]
    fn only_the_first_part_watches_the_first_samples() {
        let request = Request::new("m", Indices::first(5)).watch(watch(&[]));

        let watched: Vec<bool> = parts(&request, &limits(2, 0))
            .unwrap()
            .iter()
            .map(|part| part.watch.is_some())
            .collect();

        assert_eq!(watched, [true, false, false]);
    }

    #[test]
    fn a_request_larger_than_the_server_accepts_is_refused_with_both_numbers() {
        let initial = Initial::States(vec![Data::Values(vec![0.0; 1000])]);
        let request = Request::new("m", Indices::first(1)).initial(&initial);

        let sentence = parts(&request, &limits(2, 4000)).unwrap_err().to_string();

        assert!(sentence.contains("at most 4000"), "{sentence}");
        assert_eq!(parts(&request, &limits(2, 5000)).unwrap().len(), 1);
    }
}
