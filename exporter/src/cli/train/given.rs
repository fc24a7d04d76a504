//! Which flags of a command line were given, whatever their values.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// The flags that were given, by their ids; no flags of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct GivenFlags(BTreeSet<String>);

impl GivenFlags {
    /// Lists the flags of `A` that were given, but for those named in `except`, as they are typed.
    pub(super) fn of<A: clap::Args>(&self, except: &[&str]) -> Vec<String> {
        let command = A::augment_args(Command::new("flags"));
        let given = command.get_arguments().filter(|argument| {
            let id = argument.get_id().as_str();
            self.0.contains(id) && !except.contains(&id)
        });
        given.filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
    }
}

impl clap::FromArgMatches for GivenFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let ids = matches.ids().map(clap::Id::as_str);
        let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        Ok(Self(ids.filter(typed).map(str::to_owned).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for GivenFlags {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}
