//! Who this process is among those that train together.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

/// What a launcher tells a process in variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Of this process, in 0..world_size. Rank 0 leads: it writes, the others do not.
    pub rank: usize,
    /// How many processes there are, at least 1.
    pub world_size: usize,
    /// Of this process among those of its machine: the number of its GPU.
    pub local_rank: usize,
    /// Where the processes meet.
    pub master_addr: String,
    /// See `master_addr`.
    pub master_port: u16,
    /// How often the launcher has started the processes again, all together.
    pub restarts: u32,
    /// Whether the launcher listens at that address by itself; otherwise rank 0 does.
    pub agent_store: bool,
}

/// Why the variables say nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Start with a launcher, or set it.
    #[error(
        "{name} is not set: start with `torchrun --no-python`, with `srun`, or set RANK, WORLD_SIZE, \
         LOCAL_RANK, MASTER_ADDR and MASTER_PORT for every process"
    )]
    Missing {
        /// Of the variable.
        name: &'static str,
    },
    /// Set it to something else.
    #[error("{name} is {value:?}: {problem}")]
    Wrong {
        /// Of the variable.
        name: &'static str,
        /// What it is set to.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Names of rank, number of processes, and rank on the machine.
type Names = [&'static str; 3];

const PLAIN: Names = ["RANK", "WORLD_SIZE", "LOCAL_RANK"];
const SLURM: Names = ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"];

impl Launch {
    /// Reads RANK, WORLD_SIZE and LOCAL_RANK, or all of Slurm's SLURM_PROCID, SLURM_NTASKS and
    /// SLURM_LOCALID if there is no RANK; MASTER_ADDR and MASTER_PORT; and how often `torchrun` or
    /// Slurm has started the processes again.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] for the first variable that is missing or makes no sense.
    pub fn from_env() -> Result<Self, LaunchError> {
        Self::read(|name| env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, LaunchError> {
        let by_slurm =
            variable(PLAIN[0]).is_none() && SLURM.iter().all(|name| variable(name).is_some());
        let [rank_name, size_name, local_name] = if by_slurm { SLURM } else { PLAIN };
        let world_size = needed(&variable, size_name)?;
        if world_size == 0 {
            return Err(wrong(size_name, &world_size, &"must be at least 1"));
        }
        let rank = needed(&variable, rank_name)?;
        if rank >= world_size {
            let problem = format!("ranks of {world_size} processes are 0 to {}", world_size - 1);
            return Err(wrong(rank_name, &rank, &problem));
        }
        let restarts = if by_slurm { "SLURM_RESTART_COUNT" } else { "TORCHELASTIC_RESTART_COUNT" };
        Ok(Self {
            rank,
            world_size,
            local_rank: needed(&variable, local_name)?,
            master_addr: needed(&variable, "MASTER_ADDR")?,
            master_port: needed(&variable, "MASTER_PORT")?,
            restarts: optional(&variable, restarts)?.unwrap_or(0),
            agent_store: variable("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
        })
    }

    /// Whether this process writes what the run leaves.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.rank == 0
    }
}

fn needed<T: FromStr<Err: Display>>(
    variable: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<T, LaunchError> {
    optional(variable, name)?.ok_or(LaunchError::Missing { name })
}

fn optional<T: FromStr<Err: Display>>(
    variable: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, LaunchError> {
    let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.parse().map(Some).map_err(|problem| wrong(name, &value, &problem))
}

fn wrong(name: &'static str, value: &dyn Display, problem: &dyn Display) -> LaunchError {
    LaunchError::Wrong { name, value: value.to_string(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: [(&str, &str); 2] = [("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500")];

    fn read(variables: &[(&str, &str)]) -> Result<Launch, LaunchError> {
        Launch::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn plain_variables_say_who_a_process_is() {
        let plain = [("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")];
        let launch = read(&[&plain[..], &MASTER].concat()).unwrap();
        let expected = Launch {
            rank: 3,
            world_size: 4,
            local_rank: 1,
            master_addr: "node1".to_owned(),
            master_port: 29500,
            restarts: 0,
            agent_store: false,
        };
        assert_eq!(launch, expected);
        assert!(!launch.leads());
    }

    #[test]
    fn torchrun_listens_by_itself_and_counts_its_restarts() {
        let torchrun = [
            ("RANK", "0"),
            ("WORLD_SIZE", "2"),
            ("LOCAL_RANK", "0"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
        ];
        let launch = read(&[&torchrun[..], &MASTER].concat()).unwrap();
        assert!(launch.agent_store && launch.leads());
        assert_eq!(launch.restarts, 2);
    }

    #[test]
    fn slurm_is_asked_only_if_all_of_its_variables_are_there_and_rank_is_not() {
        let slurm = [
            ("SLURM_PROCID", "5"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_RESTART_COUNT", "1"),
        ];
        let launch = read(&[&slurm[..], &MASTER].concat()).unwrap();
        assert_eq!((launch.rank, launch.world_size, launch.local_rank), (5, 8, 1));
        assert_eq!(launch.restarts, 1);

        let partly = read(&[&slurm[..2], &MASTER].concat());
        assert_eq!(partly, Err(LaunchError::Missing { name: "WORLD_SIZE" }));

        let plain = [("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")];
        let both = read(&[&slurm[..], &plain, &MASTER].concat()).unwrap();
        assert_eq!((both.rank, both.world_size, both.restarts), (1, 2, 0));
    }

    #[test]
    fn a_variable_that_is_missing_or_wrong_is_named() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[], "WORLD_SIZE is not set"),
            (&[("WORLD_SIZE", "two")], "WORLD_SIZE is \"two\": invalid digit"),
            (&[("WORLD_SIZE", "0")], "must be at least 1"),
            (
                &[("WORLD_SIZE", "2"), ("RANK", "2")],
                "RANK is \"2\": ranks of 2 processes are 0 to 1",
            ),
            (&[("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")], "MASTER_ADDR is not set"),
        ];
        for (variables, sentence) in cases {
            let error = read(variables).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }
}
