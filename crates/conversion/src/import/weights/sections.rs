//! The networks in one file: a program saves its weights alone, or in a dictionary beside their
//! moving average, the optimiser and more.
//!
//! A network is found by a tensor that each such network has. What stands before that tensor's
//! name are keys of dictionaries and wrappers of the network: `ema.shadow.module.in_conv.weight`.

use std::collections::BTreeSet;

use crate::import::WeightsChoice;

/// Keys and wrappers that hold a moving average.
const AVERAGES: [&str; 11] = [
    "averaged_model",
    "avg_model",
    "ema",
    "ema_model",
    "ema_model_state_dict",
    "ema_params",
    "ema_state_dict",
    "model_ema",
    "model_ema_state_dict",
    "shadow",
    "unet_ema",
];
/// Keys and wrappers that say nothing of the weights.
const WRAPPERS: [&str; 12] = [
    "_model",
    "_orig_mod",
    "model",
    "model_state_dict",
    "module",
    "net",
    "network",
    "params",
    "state_dict",
    "student",
    "unet",
    "weights",
];
/// Wrappers around a network that is saved alone.
const BARE: [&str; 3] = ["_model", "_orig_mod", "module"];

/// A network in a file.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    prefix: String,
    /// Prefixes of other networks that begin with this one's.
    within: Vec<String>,
}

impl Section {
    /// Returns a tensor's name in the network; `None` for the tensors of others.
    pub(crate) fn own_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        let own = name.strip_prefix(self.prefix.as_str())?;
        (!self.within.iter().any(|other| name.starts_with(other))).then_some(own)
    }

    /// Returns whether the network is behind a wrapper.
    pub(crate) fn is_behind(&self, wrapper: &str) -> bool {
        self.keys().any(|key| key == wrapper)
    }

    /// Describes the weights.
    pub(crate) fn describe(&self) -> &'static str {
        if self.is_average() {
            "moving average of the weights"
        } else if self.keys().all(|key| BARE.contains(&key)) {
            "bare weights"
        } else {
            "weights of the last step"
        }
    }

    fn is_average(&self) -> bool {
        self.keys().any(|key| AVERAGES.contains(&key))
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.prefix.split('.').filter(|key| !key.is_empty())
    }
}

/// Chooses a network among those in a file, by default a moving average. Returns `None` if there is
/// no network, and with the choice a sentence if there was another.
///
/// * `anchors`: names of tensors, one of which each network has.
///
/// # Errors
///
/// Describes why the choice is not there, or not one.
pub(crate) fn choose<'a>(
    names: impl Iterator<Item = &'a str>,
    anchors: &[&str],
    choice: Option<WeightsChoice>,
) -> Result<Option<(Section, Option<String>)>, String> {
    let prefixes: BTreeSet<&str> = names.filter_map(|name| prefix(name, anchors)).collect();
    let sections = prefixes.iter().map(|&prefix| Section {
        prefix: prefix.to_owned(),
        within: prefixes
            .iter()
            .filter(|other| **other != prefix && other.starts_with(prefix))
            .map(|&other| other.to_owned())
            .collect(),
    });
    let (averages, raw): (Vec<_>, Vec<_>) = sections.partition(Section::is_average);
    let (chosen, others) = match choice {
        None if averages.is_empty() => (raw, averages),
        Some(WeightsChoice::Raw) => (raw, averages),
        None | Some(WeightsChoice::Ema) => (averages, raw),
    };
    match (&chosen[..], &others[..]) {
        ([], []) => Ok(None),
        ([], _) => Err(match choice {
            Some(WeightsChoice::Raw) => {
                "it holds only a moving average of the weights: leave out --weights raw".to_owned()
            }
            _ => "it does not say that its weights are a moving average: leave out --weights ema"
                .to_owned(),
        }),
        ([section], []) => Ok(Some((section.clone(), None))),
        ([section], _) => {
            let note = match section.is_average() {
                true => {
                    "the moving average of the weights is taken; --weights raw takes those of \
                         the last step"
                }
                false => "the weights of the last step are taken, not their moving average",
            };
            Ok(Some((section.clone(), Some(note.to_owned()))))
        }
        (several, _) => Err(ambiguous(several)),
    }
}

/// Returns what stands before an anchor, if these are keys and wrappers.
fn prefix<'a>(name: &'a str, anchors: &[&str]) -> Option<&'a str> {
    let prefix = anchors.iter().find_map(|anchor| name.strip_suffix(anchor))?;
    let known = |key: &str| AVERAGES.contains(&key) || WRAPPERS.contains(&key);
    let fits = prefix.is_empty()
        || prefix.strip_suffix('.').is_some_and(|keys| keys.split('.').all(known));
    fits.then_some(prefix)
}

fn ambiguous(sections: &[Section]) -> String {
    let keys: Vec<&str> = sections.iter().map(|section| section.prefix.as_str()).collect();
    let first = sections.iter().flat_map(|section| section.keys().next()).next();
    format!(
        "it holds several networks, below {}; in Python, torch.save(torch.load(\"FILE\")[\"{}\"], \
         \"weights.pt\") saves one of them alone",
        keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and "),
        first.unwrap_or("model")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], choice: Option<WeightsChoice>) -> Result<Option<String>, String> {
        let found = choose(names.iter().copied(), &["in_conv.weight"], choice)?;
        Ok(found.map(|(section, _)| section.prefix))
    }

    #[test]
    fn the_moving_average_is_chosen_unless_the_raw_weights_are_wanted() {
        let names = ["ema.shadow.module.in_conv.weight", "model.in_conv.weight", "opt.0"];
        assert_eq!(chosen(&names, None), Ok(Some("ema.shadow.module.".into())));
        assert_eq!(chosen(&names, Some(WeightsChoice::Raw)), Ok(Some("model.".into())));
        assert_eq!(chosen(&names[1..], None), Ok(Some("model.".into())));
        assert_eq!(chosen(&["_orig_mod.in_conv.weight"], None), Ok(Some("_orig_mod.".into())));
    }

    #[test]
    fn a_choice_that_is_not_there_or_not_one_is_refused_with_the_way_out() {
        let raw = chosen(&["ema.in_conv.weight"], Some(WeightsChoice::Raw)).unwrap_err();
        assert!(raw.contains("leave out --weights raw"), "{raw}");
        let ema = chosen(&["in_conv.weight"], Some(WeightsChoice::Ema)).unwrap_err();
        assert!(ema.contains("leave out --weights ema"), "{ema}");
        let two = ["net.in_conv.weight", "student.in_conv.weight"];
        let two = chosen(&two, None).unwrap_err();
        assert!(two.contains("`net.` and `student.`"), "{two}");
    }

    #[test]
    fn a_network_beside_another_does_not_take_its_tensors() {
        let names = ["in_conv.weight", "ema.in_conv.weight", "ema.b"];
        let choice = Some(WeightsChoice::Raw);
        let found = choose(names.into_iter(), &["in_conv.weight"], choice).unwrap();
        let (section, note) = found.unwrap();
        let own: Vec<_> = names.iter().filter_map(|name| section.own_name(name)).collect();
        assert_eq!(own, ["in_conv.weight"]);
        assert!(note.unwrap().contains("last step"));
    }

    #[test]
    fn a_name_that_only_ends_alike_is_no_network() {
        assert_eq!(chosen(&["main_conv.weight", "block.3.in_conv.weight"], None), Ok(None));
    }
}
