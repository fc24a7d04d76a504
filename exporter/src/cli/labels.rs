//! The flags that say where labels come from.

use ddpm_data::LabelSource;

/// Where labels come from.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct LabelFlags {
    /// Where labels come from: auto, none, folders, file-names (cat.12.jpg is a cat), dataset-json
    /// (as StyleGAN and EDM write it), metadata or metadata:COLUMN (metadata.csv or .jsonl), or
    /// column:NAME of a Parquet table [default: auto].
    #[arg(long, value_name = "SOURCE", help_heading = "Data", long_help = LONG_HELP)]
    labels: Option<LabelSource>,

    /// Use no labels, even if the data has them; the same as --labels none.
    #[arg(long, conflicts_with = "labels", help_heading = "Data")]
    no_labels: bool,
}

const LONG_HELP: &str = "\
Where labels come from [default: auto]:
  auto             the data's own labels. In folders and archives: dataset.json,
                   else metadata.csv or .jsonl, else the sub-folders; in tables the
                   label column. What is unclear is refused with the flag that decides
  none             nowhere, even if the data has labels
  folders          the top folder of each picture
  file-names       the word before the number: cat.12.jpg and cat_12.jpg are cats
  dataset-json     dataset.json, as dataset_tool.py of StyleGAN and EDM writes it
  metadata         metadata.csv or .jsonl, as Hugging Face's imagefolder has it
  metadata:COLUMN  this column of it
  column:NAME      this column of a Parquet table
Pictures that the chosen source gives no label are left out, and listed.";

impl LabelFlags {
    /// Returns the source, if one is chosen.
    pub(super) fn source(&self) -> Option<LabelSource> {
        let none = self.no_labels.then_some(LabelSource::None);
        none.or_else(|| self.labels.clone())
    }
}
