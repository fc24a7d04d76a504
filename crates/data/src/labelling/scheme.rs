//! Which labels the pictures have: the order in which places are looked at, and what is unclear.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::label_table::{Label, LabelTable};
use super::sidecars::{self, Sidecar};
use super::splits::{Part, some};
use super::{dataset_json, file_names, folders, metadata, shards};
use crate::picture_files::PictureFiles;
use crate::{DataError, LabelSource};

/// The pictures of the requested split.
pub(super) struct Listing<'a> {
    pub(super) files: &'a PictureFiles,
    /// Paths below the root.
    pub(super) names: &'a [PathBuf],
    pub(super) part: &'a Part,
    /// The files of [`metadata`] beside all pictures.
    pub(super) metadata: &'a [Sidecar],
}

/// Whether there are labels.
#[derive(Debug)]
pub(super) enum Decision {
    Labels(Scheme),
    /// There are none, for a reason that names the flag that decides.
    None(String),
    /// The user wants none.
    Unwanted,
}

/// Labels from one place.
#[derive(Debug)]
pub(super) struct Scheme {
    /// The label of each picture of the listing, if it has one.
    pub(super) labels: Vec<Option<Label>>,
    /// The place, as text that follows "from".
    pub(super) from: String,
    /// The number of classes, if labels are their numbers.
    pub(super) count: Option<usize>,
    /// Why pictures lack a label.
    lack: String,
    /// The source that leaves such pictures out.
    chosen: LabelSource,
}

/// What `metadata.csv` and `metadata.jsonl` say.
enum FromMetadata {
    Labels(Scheme),
    /// They have no labels, as this sentence says.
    Nothing(String),
    /// There is no such file.
    Absent,
}

/// Decides where labels come from.
///
/// * `notes`: where sentences are added that a user should read.
///
/// # Errors
///
/// As [`assign`](super::assign).
pub(super) fn decide(
    listing: &Listing<'_>,
    source: &LabelSource,
    notes: &mut Vec<String>,
) -> Result<Decision, DataError> {
    let decision = match source {
        LabelSource::None => return Ok(Decision::Unwanted),
        LabelSource::Auto => auto(listing, notes)?,
        LabelSource::Folders => Decision::Labels(listing.folders()?),
        LabelSource::FileNames => Decision::Labels(listing.file_names()),
        LabelSource::DatasetJson => match listing.dataset_json(notes)? {
            Some(decision @ Decision::Labels(_)) => decision,
            Some(_) => return Err(listing.unclear("dataset.json says that there are no labels")),
            None => return Err(listing.unclear("there is no dataset.json with `labels`")),
        },
        LabelSource::Metadata(column) => match listing.metadata(column.as_deref())? {
            FromMetadata::Labels(scheme) => Decision::Labels(scheme),
            FromMetadata::Nothing(why) => return Err(listing.unclear(why)),
            FromMetadata::Absent => {
                let why = "there is no metadata.csv or metadata.jsonl beside the pictures";
                return Err(listing.unclear(why));
            }
        },
        LabelSource::Column(name) => {
            let problem = format!(
                "`--labels column:{name}` is for Parquet tables; use `--labels metadata:{name}` \
                 for a column of metadata.csv or metadata.jsonl"
            );
            return Err(listing.unclear(problem));
        }
    };
    listing.check(decision, source)
}

/// Looks at all places in turn.
fn auto(listing: &Listing<'_>, notes: &mut Vec<String>) -> Result<Decision, DataError> {
    if let Some(decision) = listing.dataset_json(notes)? {
        return Ok(decision);
    }
    match listing.metadata(None)? {
        FromMetadata::Labels(scheme) => return Ok(Decision::Labels(scheme)),
        FromMetadata::Nothing(why) => notes.push(why),
        FromMetadata::Absent => {}
    }
    let Some(found) = folders::find(&listing.part.folders) else {
        return Ok(Decision::None(listing.no_folders()));
    };
    let stems: Vec<_> = listing.names.iter().map(|name| stem(name)).collect();
    let pictures: Vec<(&str, &str)> = (found.classes.iter().zip(&stems))
        .filter_map(|(class, stem)| Some((class.as_deref()?, stem.as_str())))
        .collect();
    let mut heads: Vec<&str> = pictures.iter().map(|(folder, _)| *folder).collect();
    heads.dedup();
    let heads = some(&heads);
    match shards::judge(&pictures) {
        shards::Verdict::Classes => Ok(Decision::Labels(listing.by_class_folders(found))),
        shards::Verdict::Shards => Ok(Decision::None(format!(
            "the folders {heads} are parts of a numbered set; `--labels folders` makes them classes"
        ))),
        shards::Verdict::Unclear => Err(listing.unclear(format!(
            "the folders {heads} may be classes, or parts of one set: `--labels folders` makes \
             them classes, `--no-labels` uses no labels"
        ))),
    }
}

impl Listing<'_> {
    fn unclear(&self, problem: impl Into<String>) -> DataError {
        DataError::unclear(self.files.root(), problem)
    }

    /// Reports damage of a file with labels.
    fn damaged(&self, file: &Sidecar, problem: &str) -> DataError {
        DataError::format(
            &self.files.root().join(&file.path),
            format!("{problem} (`--labels folders` and `--no-labels` do not read it)"),
        )
    }

    /// Reads `dataset.json`; `None` if there is none with labels.
    fn dataset_json(&self, notes: &mut Vec<String>) -> Result<Option<Decision>, DataError> {
        let files = sidecars::find(self.files, self.names, dataset_json::NAME);
        let content = dataset_json::read(&files)
            .map_err(|(at, problem)| self.damaged(&files[at], &problem))?;
        Ok(match content {
            dataset_json::Content::Labels(table) => {
                let from = dataset_json::NAME.to_owned();
                Some(Decision::Labels(self.scheme(&table, from, LabelSource::DatasetJson)))
            }
            dataset_json::Content::NoLabels => {
                let why = "dataset.json says so; `--labels folders` takes the sub-folders as \
                           classes";
                Some(Decision::None(why.to_owned()))
            }
            dataset_json::Content::Other => {
                if !files.is_empty() {
                    notes.push("dataset.json has no `labels`, and is not used".to_owned());
                }
                None
            }
        })
    }

    /// Reads `metadata.csv` and `metadata.jsonl`.
    fn metadata(&self, column: Option<&str>) -> Result<FromMetadata, DataError> {
        // Those of other splits, in folders of their own, say nothing about these pictures.
        let above: HashSet<&Path> =
            self.names.iter().flat_map(|name| name.ancestors().skip(1)).collect();
        let files: Vec<&Sidecar> =
            self.metadata.iter().filter(|file| above.contains(file.folder())).collect();
        let Some(first) = files.first() else { return Ok(FromMetadata::Absent) };
        let name = first.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let other = files.iter().find(|file| file.path.file_name() != first.path.file_name());
        if let Some(other) = other {
            let problem = format!(
                "both {} and {} lie beside the pictures; remove one of them, or use `--labels \
                 folders` or `--no-labels`",
                first.path.display(),
                other.path.display()
            );
            return Err(self.unclear(problem));
        }
        let content = metadata::read(&files, column)
            .map_err(|(at, problem)| self.damaged(files[at], &problem))?;
        match content {
            metadata::Content::Labels(table, column) => {
                let from = format!("{name}, column `{column}`");
                let chosen = LabelSource::Metadata(Some(column));
                Ok(FromMetadata::Labels(self.scheme(&table, from, chosen)))
            }
            metadata::Content::Nothing(why) => Ok(FromMetadata::Nothing(format!(
                "{name} gives no labels: {why}; `--labels metadata:COLUMN` names one"
            ))),
        }
    }

    fn scheme(&self, table: &LabelTable, from: String, chosen: LabelSource) -> Scheme {
        let lack = match table.first() {
            Some(first) => format!("{from} does not list them; its first entry is `{first}`"),
            None => format!("{from} lists no picture with a label"),
        };
        Scheme { labels: table.labels(self.names), count: table.count(), from, lack, chosen }
    }

    /// Makes folders classes, as the user wants it.
    fn folders(&self) -> Result<Scheme, DataError> {
        // Where all splits are used and hold nothing but pictures, they are the only folders.
        let splits = || self.part.split_folders.as_deref().and_then(folders::find);
        let found = folders::find(&self.part.folders).or_else(splits).ok_or_else(|| {
            let why = self.no_folders();
            self.unclear(format!(
                "no two sub-folders can be classes: {why}; `--no-labels` uses none"
            ))
        })?;
        Ok(self.by_class_folders(found))
    }

    fn by_class_folders(&self, found: folders::ClassFolders) -> Scheme {
        let below: PathBuf = self.part.below.iter().chain(&found.below).collect();
        let from = match below.as_os_str().is_empty() {
            true => "folders".to_owned(),
            false => format!("folders in `{}`", below.display()),
        };
        let mut heads: Vec<&String> = found.classes.iter().flatten().collect();
        heads.dedup();
        let lack = format!("they lie beside the class folders {}", some(&heads));
        let labels = found.classes.into_iter().map(|class| class.map(Label::Name)).collect();
        Scheme { labels, from, count: None, lack, chosen: LabelSource::Folders }
    }

    fn file_names(&self) -> Scheme {
        let class = |name: &PathBuf| file_names::class(&stem(name)).map(str::to_owned);
        Scheme {
            labels: self.names.iter().map(|name| class(name).map(Label::Name)).collect(),
            from: "file names".to_owned(),
            count: None,
            lack: "their names have no number after a word, as `cat.12.jpg` has".to_owned(),
            chosen: LabelSource::FileNames,
        }
    }

    /// Says why there are no class folders, and what else could give labels.
    fn no_folders(&self) -> String {
        let is_deep = |folder: &PathBuf| !folder.as_os_str().is_empty();
        let why = match self.part.folders.iter().find(|folder| is_deep(folder)) {
            Some(folder) => format!("`{}` is the only sub-folder", folder.display()),
            None => "the pictures lie in no sub-folders".to_owned(),
        };
        let scheme = self.file_names();
        let mut classes: Vec<_> = scheme.labels.iter().flatten().collect();
        let complete = classes.len() == self.names.len();
        classes.dedup();
        match self.names.first() {
            Some(name) if complete && classes.len() >= 2 => format!(
                "{why}; `--labels file-names` takes the words of names such as {}",
                name.file_name().unwrap_or_default().to_string_lossy()
            ),
            _ => format!("{why}; `--labels` can name another source"),
        }
    }

    /// Refuses pictures without a label, unless the user has chosen the source of labels: then
    /// they are left out.
    fn check(&self, decision: Decision, source: &LabelSource) -> Result<Decision, DataError> {
        let Decision::Labels(scheme) = decision else { return Ok(decision) };
        let lacking: Vec<&PathBuf> = (self.names.iter().zip(&scheme.labels))
            .filter_map(|(name, label)| label.is_none().then_some(name))
            .collect();
        let (all, lack) = (self.names.len(), &scheme.lack);
        let Some(first) = lacking.first() else { return Ok(Decision::Labels(scheme)) };
        let count = lacking.len();
        let problem = format!(
            "no label for {count} of {all} pictures, the first is {}: {lack}",
            first.display()
        );
        if count == all {
            let advice = "`--labels` can name another source, `--no-labels` uses no labels";
            return Err(self.unclear(format!("{problem}; {advice}")));
        }
        if *source != LabelSource::Auto {
            return Ok(Decision::Labels(scheme));
        }
        Err(self.unclear(format!(
            "{problem}; `--labels {}` leaves them out, `--no-labels` uses all pictures without \
             labels",
            scheme.chosen
        )))
    }
}

fn stem(name: &Path) -> String {
    name.file_stem().map(folders::text).unwrap_or_default()
}
