//! Which samples.

use std::num::NonZeroU32;

use ddpm_client::{Error, Indices, Model};
use ddpm_console::at_least_one;

#[derive(Debug, clap::Args)]
pub(crate) struct SelectionFlags {
    /// Number of samples: the indices 0 to N - 1 [default: 16 pictures, 1000 points, or
    /// the number of inputs of --image or --initial].
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "indices")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub(crate) count: Option<NonZeroU32>,

    /// Only the samples with these indices, such as 0-63,70.
    #[arg(long, value_name = "RANGES")]
    pub(crate) indices: Option<Indices>,

    /// Key of all noise; the same seed gives the same samples [default: picked by the
    /// server, and printed].
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Class to condition on: its name, or else its number. Several are cycled through:
    /// sample i gets class i mod their number. Separate them by commas, or repeat the
    /// flag, as names with commas need. index:N is the number N even if a class is
    /// called N.
    #[arg(long, visible_alias = "labels", value_name = "CLASS")]
    pub(crate) label: Vec<String>,

    /// Name of this request in the server's log.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) request_id: String,
}

impl SelectionFlags {
    /// Returns the requested indices, or the first `default` ones.
    pub(crate) fn indices(&self, default: u32) -> Indices {
        let counted = || Indices::first(self.count.map_or(default, NonZeroU32::get));
        self.indices.clone().unwrap_or_else(counted)
    }

    /// Returns the labels of the requested classes.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for a class that the model does not have.
    pub(crate) fn labels(&self, model: &Model) -> Result<Vec<u32>, Error> {
        model.labels(&self.label)
    }
}
