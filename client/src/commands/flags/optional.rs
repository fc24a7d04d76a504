//! Optional flags → fields of a request.

use ddpm_client::{Error, Request};

/// Sets a field if its flag was used; otherwise the model's default holds.
pub(crate) fn apply<T>(
    request: Request,
    value: Option<T>,
    set: impl FnOnce(Request, T) -> Request,
) -> Request {
    match value {
        Some(value) => set(request, value),
        None => request,
    }
}

pub(super) fn usage_error<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Request(message.into()))
}
