//! Loads named tensors into parameters: exactly the right ones, or none.

use std::collections::HashMap;

use tch::Tensor;

/// The reason why named tensors do not belong to a network.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Most likely the tensors are from a network with other settings.
    #[error("the tensors do not fit the network: {}", first(.0))]
    Mismatch(
        /// A clause for every name that is missing, unexpected, repeated or misshapen.
        Vec<String>,
    ),
    /// The network shares one parameter, but the file has different values for it.
    #[error("{repeat} differs from {name}, but the network has one parameter for both")]
    NotShared {
        /// The repeated entry.
        repeat: String,
        /// The entry it should repeat.
        name: String,
    },
    /// libtorch cannot copy.
    #[error("cannot copy the tensors")]
    Torch(#[from] tch::TchError),
}

/// Clauses to print: with other settings, each of hundreds of tensors has another shape.
const PRINTED: usize = 6;

fn first(clauses: &[String]) -> String {
    let printed = clauses[..clauses.len().min(PRINTED)].join("; ");
    match clauses.len().saturating_sub(PRINTED) {
        0 => printed,
        more => format!("{printed}; and {more} more such clauses"),
    }
}

/// Copies `state` into `parameters` by name, from any device and type.
///
/// # Errors
///
/// [`StateError::Mismatch`] unless both have the same names and shapes; nothing is changed then.
pub fn load_state(
    parameters: &[(String, Tensor)],
    state: &[(String, Tensor)],
) -> Result<(), StateError> {
    let problems = mismatches(parameters, state);
    if !problems.is_empty() {
        return Err(StateError::Mismatch(problems));
    }
    let by_name = index(state);
    tch::no_grad(|| {
        for (name, parameter) in parameters {
            parameter.shallow_clone().f_copy_(by_name[name.as_str()])?;
        }
        Ok(())
    })
}

fn index(tensors: &[(String, Tensor)]) -> HashMap<&str, &Tensor> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

fn mismatches(parameters: &[(String, Tensor)], state: &[(String, Tensor)]) -> Vec<String> {
    let (expected, given) = (index(parameters), index(state));
    let mut problems = Vec::new();
    for (name, parameter) in parameters {
        match given.get(name.as_str()).map(|tensor| tensor.size()) {
            None => problems.push(format!("{name} is missing")),
            Some(size) if size != parameter.size() => {
                let expected = parameter.size();
                problems.push(format!("{name} has shape {size:?}, expected {expected:?}"));
            }
            Some(_) => {}
        }
    }
    let unexpected = state.iter().filter(|(name, _)| !expected.contains_key(name.as_str()));
    problems.extend(unexpected.map(|(name, _)| format!("{name} is unexpected")));
    if given.len() != state.len() {
        problems.push(format!("{} names occur twice", state.len() - given.len()));
    }
    problems
}

/// Returns `state` without the entries that repeat another.
///
/// * `shared_name`: returns the name that a repeat repeats, `None` for any other name.
///
/// # Errors
///
/// [`StateError::NotShared`] if a repeat has other values.
pub(crate) fn without_repeats(
    state: &[(String, Tensor)],
    shared_name: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Tensor)>, StateError> {
    let by_name = index(state);
    let mut unique = Vec::new();
    for (repeat, tensor) in state {
        match shared_name(repeat) {
            None => unique.push((repeat.clone(), tensor.shallow_clone())),
            // Without the entry it repeats, `load_state` reports that one as missing.
            Some(name) => match by_name.get(name.as_str()) {
                Some(first) if !is_equal(first, tensor)? => {
                    return Err(StateError::NotShared { repeat: repeat.clone(), name });
                }
                _ => {}
            },
        }
    }
    Ok(unique)
}

fn is_equal(a: &Tensor, b: &Tensor) -> Result<bool, StateError> {
    Ok(a.size() == b.size() && a.f_equal(b)?)
}
