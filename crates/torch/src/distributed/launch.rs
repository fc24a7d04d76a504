//! Rank and address of this process among those that train together.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

/// Settings that a launcher passes to a process in environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Rank of this process, in 0..world_size. Rank 0 leads: only it writes files.
    pub rank: usize,
    /// Number of processes, at least 1.
    pub world_size: usize,
    /// Rank of this process on its machine: the number of its GPU.
    pub local_rank: usize,
    /// Host where the processes meet.
    pub master_addr: String,
    /// Port where the processes meet.
    pub master_port: u16,
    /// How often the launcher has restarted all processes.
    pub restarts: u32,
    /// Whether the launcher listens at that address; otherwise rank 0 does.
    pub agent_store: bool,
}

/// Why the variables are unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Start with a launcher, or set the variable.
    #[error(
        "{name} is not set: start with `torchrun --no-python` or `srun`, or set RANK, WORLD_SIZE, \
         LOCAL_RANK, MASTER_ADDR and MASTER_PORT for every process"
    )]
    Missing {
        /// Name of the variable.
        name: &'static str,
    },
    /// Say that the processes train together, or that there is only one.
    #[error(
        "{name}={size} says that a launcher has started {size} processes, and each would train the \
         same run on its own: add --distributed, or unset {name} if there is only this one, as in \
         a batch script without srun"
    )]
    Alone {
        /// Name of the variable.
        name: &'static str,
        /// Number of processes.
        size: usize,
    },
    /// Set the variable to a valid value.
    #[error("{name} is {value:?}: {problem}")]
    Wrong {
        /// Name of the variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Variables by which launchers say how many processes they have started.
const SIZES: [&str; 4] = ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Variables for rank, number of processes, and rank on the machine.
type Names = [&'static str; 3];

const PLAIN: Names = ["RANK", "WORLD_SIZE", "LOCAL_RANK"];
const SLURM: Names = ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"];

impl Launch {
    /// Checks that no launcher has started this process together with others: each of them would do
    /// the whole work.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Alone`] names the variable that says so.
    pub fn check_alone() -> Result<(), LaunchError> {
        Self::check_variables(|name| env::var(name).ok())
    }

    fn check_variables(variable: impl Fn(&str) -> Option<String>) -> Result<(), LaunchError> {
        let several = |name: &'static str| {
            let size = variable(name)?.parse().ok().filter(|size: &usize| *size > 1)?;
            Some(LaunchError::Alone { name, size })
        };
        // SLURM_STEP_NUM_TASKS counts the processes that `srun` has started. Without it, this may
        // be a batch script, where SLURM_NTASKS counts those that it could start.
        let by_slurm = || {
            let named = variable("SLURM_STEP_NUM_TASKS").is_none()
                && SLURM.iter().all(|name| variable(name).is_some());
            named.then(|| several(SLURM[1])).flatten()
        };
        SIZES.iter().find_map(|name| several(name)).or_else(by_slurm).map_or(Ok(()), Err)
    }

    /// Reads RANK, WORLD_SIZE and LOCAL_RANK or, if RANK is unset, all of Slurm's SLURM_PROCID,
    /// SLURM_NTASKS and SLURM_LOCALID; MASTER_ADDR and MASTER_PORT; and the restart count of
    /// `torchrun` or Slurm.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] for the first variable that is missing or invalid.
    pub fn from_env() -> Result<Self, LaunchError> {
        Self::read(|name| env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, LaunchError> {
        let by_slurm =
            variable(PLAIN[0]).is_none() && SLURM.iter().all(|name| variable(name).is_some());
        let [rank_name, size_name, local_name] = if by_slurm { SLURM } else { PLAIN };
        let world_size = required(&variable, size_name)?;
        if world_size == 0 {
            return Err(invalid(size_name, &world_size, &"must be at least 1"));
        }
        let rank = required(&variable, rank_name)?;
        if rank >= world_size {
            let problem = format!("ranks of {world_size} processes are 0 to {}", world_size - 1);
            return Err(invalid(rank_name, &rank, &problem));
        }
        let restarts = if by_slurm { "SLURM_RESTART_COUNT" } else { "TORCHELASTIC_RESTART_COUNT" };
        Ok(Self {
            rank,
            world_size,
            local_rank: required(&variable, local_name)?,
            master_addr: required(&variable, "MASTER_ADDR")?,
            master_port: required(&variable, "MASTER_PORT")?,
            restarts: optional(&variable, restarts)?.unwrap_or(0),
            agent_store: variable("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
        })
    }

    /// Returns whether this process writes the files of the run.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.rank == 0
    }
}

fn required<T: FromStr<Err: Display>>(
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
    value.parse().map(Some).map_err(|problem| invalid(name, &value, &problem))
}

fn invalid(name: &'static str, value: &dyn Display, problem: &dyn Display) -> LaunchError {
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
    fn plain_variables_give_rank_and_address() {
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
    fn torchrun_listens_and_counts_its_restarts() {
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
    fn slurm_is_used_only_with_all_of_its_variables_and_without_rank() {
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
    fn a_process_among_others_is_noticed_whoever_started_it() {
        let check = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            Launch::check_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        let srun = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "0")];
        for (set, name) in [
            (&[("RANK", "0"), ("WORLD_SIZE", "2")][..], "WORLD_SIZE=2"),
            (&srun, "SLURM_NTASKS=4"),
            (&[("SLURM_STEP_NUM_TASKS", "8")], "SLURM_STEP_NUM_TASKS=8"),
            (&[("OMPI_COMM_WORLD_SIZE", "3")], "OMPI_COMM_WORLD_SIZE=3"),
            (&[("PMI_SIZE", "2")], "PMI_SIZE=2"),
        ] {
            let message = check(set).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("add --distributed"), "{message}");
        }
        let one_of_many = [&srun[..], &[("SLURM_STEP_NUM_TASKS", "1")]].concat();
        for set in [&[][..], &[("WORLD_SIZE", "1")], &[("WORLD_SIZE", "")], &one_of_many] {
            assert_eq!(check(set), Ok(()));
        }
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
