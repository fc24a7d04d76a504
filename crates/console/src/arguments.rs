//! Arguments, and the environment variables that stand for them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command, Parser};

/// Parses the command line; prints usage errors and help, and exits, as [`Parser::parse`] does.
///
/// Environment variables are read as people set them: an empty one counts as unset, and a switch
/// is on for `1`, `true`, `yes`, `on`, and off for `0`, `false`, `no`, `off`.
#[must_use]
pub fn parse<A: Parser>() -> A {
    let matches = adapt(A::command(), &|name| env::var_os(name)).get_matches();
    A::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Parses the value of a flag that counts something: the standard parser's message for 0 is about
/// types.
///
/// # Errors
///
/// If it is no whole number, or less than 1.
pub fn at_least_one<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("give a whole number from 1 to {}", u32::MAX))
}

/// * `variable`: returns the value of a variable.
fn adapt(command: Command, variable: &impl Fn(&OsStr) -> Option<OsString>) -> Command {
    command
        .mut_args(|argument| adapt_argument(argument, variable))
        .mut_subcommands(|command| adapt(command, variable))
}

fn adapt_argument(argument: Arg, variable: &impl Fn(&OsStr) -> Option<OsString>) -> Arg {
    let Some(name) = argument.get_env() else { return argument };
    if variable(name).is_some_and(|value| value.is_empty()) {
        return argument.env(None::<&str>);
    }
    match argument.get_action() {
        ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    #[derive(Debug, PartialEq, clap::Parser)]
    struct Flags {
        #[arg(long, env = "DDPM_TEST_NUMBER", default_value_t = 7)]
        number: u32,
        #[arg(long, env = "DDPM_TEST_SWITCH")]
        switch: bool,
        #[command(subcommand)]
        command: Option<Inner>,
    }

    #[derive(Debug, PartialEq, clap::Subcommand)]
    enum Inner {
        Inner {
            #[arg(long, env = "DDPM_TEST_SIZE")]
            size: Option<u32>,
        },
    }

    #[test]
    fn an_empty_variable_counts_as_unset_at_any_level() {
        let empty = |_: &OsStr| Some(OsString::new());
        let command = adapt(Flags::command(), &empty);
        let variables = |command: &Command| -> Vec<OsString> {
            command.get_arguments().filter_map(Arg::get_env).map(OsStr::to_owned).collect()
        };
        assert!(variables(&command).is_empty());
        assert!(command.get_subcommands().all(|command| variables(command).is_empty()));
        let matches = command.try_get_matches_from(["test"]).unwrap();
        let flags = Flags::from_arg_matches(&matches).unwrap();
        assert_eq!(flags, Flags { number: 7, switch: false, command: None });
    }

    #[test]
    fn a_variable_that_is_set_stays() {
        let set = |_: &OsStr| Some(OsString::from("1"));
        let command = adapt(Flags::command(), &set);
        let switch = command.get_arguments().find(|argument| argument.get_id() == "switch");
        assert_eq!(switch.unwrap().get_env(), Some(OsStr::new("DDPM_TEST_SWITCH")));
    }

    #[test]
    fn a_count_is_a_whole_number_from_1() {
        assert_eq!(at_least_one::<NonZeroU32>("7"), Ok(NonZeroU32::MIN.saturating_add(6)));
        for text in ["0", "-1", "1.5", "many", "", "4294967296"] {
            let error = at_least_one::<NonZeroU32>(text).unwrap_err();
            assert_eq!(error, "give a whole number from 1 to 4294967295", "{text}");
        }
    }
}
