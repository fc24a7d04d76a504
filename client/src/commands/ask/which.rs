//! Which samples.

use std::num::NonZeroU32;

use ddpm_client::{Error, Indices, Model};

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// How many samples: the indices 0 to N - 1 [default: 16, or 1000 points, or as many as
    /// there are --image and --initial].
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "indices")]
    pub(crate) count: Option<NonZeroU32>,

    /// These samples and no others, such as 0-63,70.
    #[arg(long, value_name = "RANGES")]
    pub(crate) indices: Option<Indices>,

    /// Key of all noise; the same seed gives the same samples [default: the
    /// server picks one and it is printed].
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Class to condition on: its number or its name. Several, separated by
    /// commas, take turns: sample i gets the one at i mod their number.
    #[arg(long, visible_alias = "labels", value_name = "CLASS", value_delimiter = ',')]
    pub(crate) label: Vec<String>,

    /// Name for this request; it stands in the server's log.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) request_id: String,
}

impl Which {
    /// The indices that were asked for, or the first `default` ones.
    pub(crate) fn indices(&self, default: u32) -> Indices {
        let counted = || Indices::first(self.count.map_or(default, NonZeroU32::get));
        self.indices.clone().unwrap_or_else(counted)
    }

    /// The classes as numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for a class that the model does not have.
    pub(crate) fn labels(&self, model: &Model) -> Result<Vec<u32>, Error> {
        self.label.iter().map(|text| model.label(text)).collect()
    }
}
