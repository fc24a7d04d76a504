//! Flags from the environment: `DDPM_BATCH_SIZE` is `--batch-size`.
//!
//! clap could read them itself, but would then reject them alongside `--resume`, even where they
//! are set for a whole machine rather than for this run.

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};

use crate::cli::Failure;

/// Parses the flags of `A` that are set in the environment.
///
/// # Errors
///
/// [`Failure::Refused`] names the variable whose value the flag would reject.
pub(in crate::cli) fn from_environment<A: Args + FromArgMatches>() -> Result<A, Failure> {
    // What is not text, the flag rejects.
    from_variables(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
}

/// * `lookup`: returns the value of a variable.
fn from_variables<A: Args + FromArgMatches>(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<A, Failure> {
    let command = || A::augment_args(Command::new("environment").no_binary_name(true));
    let mut flags = Vec::new();
    for argument in command().get_arguments() {
        let Some(long) = argument.get_long() else { continue };
        let variable = format!("DDPM_{}", long.to_uppercase().replace('-', "_"));
        // An empty one counts as unset.
        let Some(value) = lookup(&variable).filter(|value| !value.is_empty()) else { continue };
        let flag = flag(argument, long, &value);
        let checked = flag.and_then(|flag| match &flag {
            Some(flag) => match command().try_get_matches_from([flag]) {
                Ok(_) => Ok(Some(flag.clone())),
                Err(error) => Err(first_line(&error.to_string())),
            },
            None => Ok(None),
        });
        flags.extend(checked.map_err(|problem| refused(&format!("{variable}: {problem}")))?);
    }
    // Each is valid on its own; together they may conflict.
    let matches = command().try_get_matches_from(flags);
    let parsed = matches.and_then(|matches| A::from_arg_matches(&matches));
    parsed
        .map_err(|error| refused(&format!("DDPM_* variables: {}", first_line(&error.to_string()))))
}

/// Spells a flag with its value; `None` for a switch that is off.
fn flag(argument: &Arg, long: &str, value: &str) -> Result<Option<String>, String> {
    match argument.get_action() {
        ArgAction::SetTrue => match value.to_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(format!("--{long}"))),
            "0" | "false" | "no" | "off" => Ok(None),
            _ => Err(format!("true or false, got {value:?}")),
        },
        _ => Ok(Some(format!("--{long}={value}"))),
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn refused(reason: &str) -> Failure {
    Failure::Refused(reason.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::{PaceFlags, TrainingFlags};

    fn parse<A: Args + FromArgMatches>(set: &'static [(&str, &str)]) -> Result<A, Failure> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name);
        from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_variable_sets_the_flag_of_the_same_name() {
        let training: TrainingFlags =
            parse(&[("DDPM_LR", "1e-4"), ("DDPM_SEED", "7"), ("DDPM_OTHER", "?")]).unwrap();
        let written: TrainingFlags = toml::from_str("lr = 1e-4\nseed = 7").unwrap();
        assert_eq!(training, written);
        assert_eq!(parse::<TrainingFlags>(&[]).unwrap(), TrainingFlags::default());
    }

    #[test]
    fn a_value_that_the_flag_would_reject_is_refused_with_the_variables_name() {
        let message = |set| parse::<PaceFlags>(set).unwrap_err().to_string();
        let steps = message(&[("DDPM_STEPS", "many")]);
        assert!(steps.contains("DDPM_STEPS") && steps.contains("5ep"), "{steps}");
        let both = message(&[("DDPM_STEPS", "1"), ("DDPM_EPOCHS", "1")]);
        assert!(both.contains("cannot be used with"), "{both}");
    }
}
