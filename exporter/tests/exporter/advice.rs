//! Every command, flag and Python call that a message or a help text names is one that works: all
//! are collected from the sources and tried.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use ddpm_exporter::cli::Cli;
use proc_macro2::{TokenStream, TokenTree};

use crate::support::repository;

/// Crates whose messages a user of the exporter sees.
const CRATES: [&str; 12] = [
    "exporter",
    "crates/conversion",
    "crates/data",
    "crates/diffusion",
    "crates/evaluation",
    "crates/files",
    "crates/measures",
    "crates/network",
    "crates/onnx",
    "crates/package",
    "crates/torch",
    "crates/training",
];

/// Flags of other programs that messages name.
const FOREIGN_FLAGS: [&str; 5] =
    ["--logdir", "--max-restarts", "--models", "--no-python", "--nproc_per_node"];

/// Words that follow a flag in a sentence and are no values of it.
const PROSE: [&str; 16] = [
    "and",
    "at",
    "cannot",
    "chooses",
    "come",
    "draws",
    "encodes",
    "for",
    "is",
    "names",
    "needs",
    "or",
    "overrides",
    "resizes",
    "was",
    "works",
];

/// Python calls in messages, and the script of a fixture that makes what they make.
const CALLS: [(&str, &str); 2] = [
    ("DDIMScheduler.from_config(pipeline.scheduler.config)", "schedulers/make.py"),
    ("torch.save(torch.load(", "foreign/make.py"),
];

/// Returns every text in the sources, with its file.
fn texts() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> =
        CRATES.iter().map(|name| repository().join(name).join("src")).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
            {
                let source = fs::read_to_string(&path).unwrap();
                // Tests come last in a file.
                let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let mut literals = Vec::new();
                collect(source.parse().unwrap(), &mut literals);
                found.extend(literals.into_iter().map(|text| (path.clone(), text)));
            }
        }
    }
    assert!(found.len() > 2000, "{} texts are too few to be all", found.len());
    found
}

/// Collects the texts of a program, without comments.
fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            // A comment of documentation is an attribute.
            TokenTree::Ident(name) if name == "doc" => drop(tokens.nth(1)),
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            _ => {}
        }
    }
}

/// Returns the help texts of a command and its subcommands.
fn help(command: &Command, found: &mut Vec<(PathBuf, String)>) {
    let place = PathBuf::from(format!("help of {}", command.get_name()));
    let own = [command.get_about(), command.get_long_about(), command.get_after_help()];
    let arguments = command.get_arguments().map(clap::Arg::get_help);
    let texts = own.into_iter().chain(arguments).flatten();
    found.extend(texts.map(|text| (place.clone(), text.to_string())));
    command.get_subcommands().for_each(|command| help(command, found));
}

fn everything() -> Vec<(PathBuf, String)> {
    let mut found = texts();
    help(&Cli::command(), &mut found);
    found
}

/// Returns the pages of documentation.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(repository().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let readme = repository().join("README.md");
    let pages = docs.chain([readme]).filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Returns the command lines of the exporter in a text, without its own name.
fn commands(text: &str) -> Vec<Vec<String>> {
    const NAME: &str = "ddpm-exporter ";
    let text = text.replace("\\\n", " ");
    let starts = text.match_indices(NAME).map(|(start, _)| start);
    let line = |start: usize| {
        let end = match text[..start].ends_with('`') {
            true => '`',
            false => '\n',
        };
        let line = text[start + NAME.len()..].split(end).next().unwrap();
        // A command within a sentence ends before what follows.
        let line = line.split(['#', ';']).next().unwrap();
        let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        words.map(str::to_owned).collect()
    };
    starts.map(line).collect()
}

/// Returns whether clap takes a command line, but for what a shortened one leaves out.
fn is_taken(words: &[String]) -> Result<(), String> {
    let words = std::iter::once("ddpm-exporter").chain(words.iter().map(String::as_str));
    match Cli::command().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayHelp => Ok(()),
            _ => Err(error.to_string()),
        },
    }
}

#[test]
fn every_command_in_a_message_is_taken_by_the_command_line() {
    let names: Vec<String> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut tried = 0;
    for (place, text) in everything().into_iter().chain(pages()) {
        // `ddpm-exporter 0.1.0 for linux` is no command, nor is one in a sentence of a page.
        let is_page = place.extension().is_some_and(|end| end == "md");
        let is_quoted = !is_page && text.contains("`ddpm-exporter ");
        for words in commands(&text) {
            if words.iter().any(|word| word == "…") {
                continue;
            }
            if !is_quoted && !words.first().is_some_and(|word| names.contains(word)) {
                continue;
            }
            let taken = is_taken(&words);
            assert!(
                taken.is_ok(),
                "{}: {}: {}",
                place.display(),
                words.join(" "),
                taken.unwrap_err()
            );
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried} commands are too few to be all");
}

/// Returns the commands that have a flag.
fn having(command: &Command, flag: &str) -> Vec<Command> {
    let has = |command: &Command| {
        command.get_arguments().any(|argument| argument.get_long() == Some(&flag[2..]))
    };
    let mut found: Vec<Command> = has(command).then(|| command.clone()).into_iter().collect();
    found.extend(command.get_subcommands().flat_map(|command| having(command, flag)));
    found
}

/// Returns whether a command rejects a value of a flag; a switch rejects none.
fn rejects(command: &Command, flag: &str, value: &str) -> bool {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&flag[2..]));
    if !argument.is_some_and(|argument| argument.get_action().takes_values()) {
        return false;
    }
    let words = ["command", flag, value];
    let kind = command.clone().try_get_matches_from(words).map_err(|error| error.kind());
    matches!(kind, Err(ErrorKind::InvalidValue | ErrorKind::ValueValidation))
}

/// Returns the flags in a text, each with the word after it.
fn flags(text: &str) -> Vec<(String, String)> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let starts = text.match_indices("--").filter(|(start, _)| {
        let before = text[..*start].chars().next_back();
        let after = text[start + 2..].chars().next();
        !before.is_some_and(is_part) && after.is_some_and(|c| c.is_ascii_lowercase())
    });
    let flag = |(start, _): (usize, &str)| {
        let rest = &text[start..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let next = rest[end..].strip_prefix(['=', ' ']).unwrap_or_default();
        let next = next.split_whitespace().next().unwrap_or_default();
        let next = next.trim_matches(['`', '.', ',', ';', ':', ')', '"', '\'']);
        (rest[..end].to_owned(), next.to_owned())
    };
    starts.map(flag).collect()
}

#[test]
fn every_flag_in_a_message_exists_and_takes_the_value_beside_it() {
    let cli = Cli::command();
    let (mut tried, mut problems) = (BTreeSet::new(), Vec::new());
    for (place, text) in everything() {
        for (flag, value) in flags(&text) {
            if FOREIGN_FLAGS.contains(&flag.as_str()) {
                continue;
            }
            let commands = having(&cli, &flag);
            let place = place.display();
            if commands.is_empty() && flag != "--help" {
                problems.push(format!("{place}: {flag} is no flag: {text}"));
            }
            // A value that is filled in, or none.
            let is_word = !value.is_empty() && !value.contains(['{', '[', '<']);
            let is_known = !is_word || PROSE.contains(&value.as_str());
            if !is_known && commands.iter().all(|command| rejects(command, &flag, &value)) {
                problems.push(format!(
                    "{place}: {flag} does not take {value:?}; if it is no value, add it to PROSE"
                ));
            }
            tried.insert(flag);
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(tried.len() > 40, "{} flags are too few to be all", tried.len());
}

#[test]
fn every_python_call_in_a_message_is_made_by_the_script_of_a_fixture() {
    let marks = ["from_config(", "torch.save(", "torch.load(", "from_pretrained("];
    let mut used = BTreeSet::new();
    for (place, text) in texts() {
        // The model card, which `make diffusers` runs.
        let is_card = place.ends_with("export/python.rs");
        if is_card || !marks.iter().any(|mark| text.contains(mark)) {
            continue;
        }
        let known = CALLS.iter().find(|(call, _)| text.contains(call));
        let (call, script) = known.unwrap_or_else(|| panic!("{}: {text}", place.display()));
        let script = fs::read_to_string(repository().join("tests/fixtures").join(script)).unwrap();
        assert!(script.contains(call), "{call}");
        used.insert(*call);
    }
    assert_eq!(used.len(), CALLS.len());
}

#[test]
fn a_command_and_a_flag_that_do_not_exist_are_noticed() {
    let words = |text: &str| commands(text).remove(0);
    assert!(is_taken(&words("try `ddpm-exporter export runs/a --output b`, then")).is_ok());
    assert!(is_taken(&words("try `ddpm-exporter exprot a`")).is_err());
    assert!(is_taken(&words("Examples:\n  ddpm-exporter export a --to b\n")).is_err());
    assert!(is_taken(&words("`ddpm-exporter import a --variance learnt --output b`")).is_err());
    let found = flags("pass --variance learned-range, or --timesteps=5; not a--b or ---");
    assert_eq!(found[0], ("--variance".to_owned(), "learned-range".to_owned()));
    assert_eq!(found[1], ("--timesteps".to_owned(), "5".to_owned()));
    assert_eq!(found.len(), 2);
    let import = having(&Cli::command(), "--variance");
    assert!(!import.is_empty());
    assert!(import.iter().all(|command| rejects(command, "--variance", "learnt")));
    assert!(import.iter().all(|command| !rejects(command, "--variance", "learned-range")));
    assert!(having(&Cli::command(), "--varianse").is_empty());
}
