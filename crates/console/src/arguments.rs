//! Arguments, and the environment variables that stand for them.

use std::env;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command, Parser};

/// Parses the command line; prints usage errors and help, and exits, as [`Parser::parse`] does.
///
/// Environment variables are read as people set them: an empty one counts as unset, and a switch
/// is on for `1`, `true`, `yes`, `on`, and off for `0`, `false`, `no`, `off`.
#[must_use]
pub fn parse<A: Parser>() -> A {
    let matches = adapt(A::command()).get_matches();
    A::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn adapt(command: Command) -> Command {
    command.mut_args(adapt_argument).mut_subcommands(adapt)
}

fn adapt_argument(argument: Arg) -> Arg {
    let Some(variable) = argument.get_env() else { return argument };
    if env::var_os(variable).is_some_and(|value| value.is_empty()) {
        return argument.env(None::<&str>);
    }
    match argument.get_action() {
        ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    /// Cargo sets these for every test.
    #[derive(Debug, PartialEq, clap::Parser)]
    struct Flags {
        #[arg(long, env = "CARGO_PKG_VERSION_PATCH", default_value_t = 7)]
        number: u32,
        #[arg(long, env = "CARGO_PKG_VERSION_MINOR")]
        switch: bool,
        /// Empty: the version has no such part.
        #[arg(long, env = "CARGO_PKG_VERSION_PRE")]
        size: Option<u32>,
    }

    #[test]
    fn an_empty_variable_counts_as_unset_and_a_switch_is_on_for_1() {
        let unadapted = Flags::command().try_get_matches_from(["test"]);
        assert!(unadapted.is_err(), "without help, an empty variable is an error");
        let matches = adapt(Flags::command()).try_get_matches_from(["test"]).unwrap();
        let flags = Flags::from_arg_matches(&matches).unwrap();
        assert_eq!(flags, Flags { number: 0, switch: true, size: None });
    }
}
