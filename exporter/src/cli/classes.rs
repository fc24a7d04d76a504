//! Classes as users name them.

/// Returns the labels of classes as a user lists them: one per text or, separated by commas,
/// several in one. A text that is the name of a class as a whole is not divided.
///
/// A class is named by its name, or else by its number, counted from 0: a name wins over a number,
/// and over `none`, whose label is the number of classes. `index:N` is the number N.
///
/// # Errors
///
/// Lists the classes if there is no such class, or says that several have the name.
pub(super) fn labels(texts: &[String], classes: &[String]) -> Result<Vec<usize>, String> {
    let mut labels = Vec::new();
    for text in texts {
        if classes.contains(text) {
            labels.push(label(text, classes)?);
        } else {
            for part in text.split(',') {
                labels.push(label(part, classes)?);
            }
        }
    }
    Ok(labels)
}

fn label(text: &str, classes: &[String]) -> Result<usize, String> {
    let named: Vec<usize> = (0..classes.len()).filter(|&class| classes[class] == text).collect();
    let number = || text.strip_prefix("index:").unwrap_or(text).parse::<usize>().ok();
    match named[..] {
        [only] => Ok(only),
        [first, second, ..] => Err(format!(
            "several classes are called {text:?}: choose one by its number, such as index:{first} \
             or index:{second}"
        )),
        [] if text == "none" => Ok(classes.len()),
        [] => number().filter(|number| *number < classes.len()).ok_or_else(|| {
            let last = classes.len().saturating_sub(1);
            format!("no class {text:?}; use none, 0 to {last}, or one of {}", listed(classes))
        }),
    }
}

/// Lists names of classes, up to a few.
fn listed(classes: &[String]) -> String {
    const MOST: usize = 30;
    let few: Vec<&str> = classes.iter().take(MOST).map(String::as_str).collect();
    few.join(", ") + if classes.len() > MOST { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(texts: &[&str], classes: &[&str]) -> Result<Vec<usize>, String> {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        labels(&owned(texts), &owned(classes))
    }

    #[test]
    fn a_name_wins_over_a_number_and_a_comma() {
        assert_eq!(find(&["001,2"], &["001", "002", "003"]), Ok(vec![0, 2]));
        assert_eq!(find(&["2", "index:2"], &["0", "1", "10", "2"]), Ok(vec![3, 2]));
        let pets = ["cat", "dog, big", "dog"];
        assert_eq!(find(&["dog, big", "dog,none,0"], &pets), Ok(vec![1, 2, 3, 0]));
        assert_eq!(find(&["none"], &["some", "none"]), Ok(vec![1]));
    }

    #[test]
    fn an_unknown_class_is_refused_with_a_list() {
        for text in ["bird", "3", "index:3", "", "dog, big"] {
            let problem = find(&[text], &["cat", "dog", "7"]).unwrap_err();
            assert!(problem.contains("none, 0 to 2, or one of cat, dog, 7"), "{problem}");
        }
        assert!(find(&["x"], &["x", "x"]).unwrap_err().contains("index:0 or index:1"));
    }
}
