//! Flags that several commands share: which samples, how to walk from noise to
//! them, and what they start from.

mod edit;
mod walk;
mod which;

pub(crate) use self::{
    edit::{Edit, Inputs},
    walk::Walk,
    which::Which,
};

use ddpm_client::{Error, Request};

fn wrong<T>(sentence: impl Into<String>) -> Result<T, Error> {
    Err(Error::Request(sentence.into()))
}

/// Sets what was said and leaves the rest to the model.
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
