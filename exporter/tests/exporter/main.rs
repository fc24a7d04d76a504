//! Promises of `ddpm-exporter` to its users.

mod support;

mod commands;

mod data_check;

mod evaluation;

mod import;

mod import_diffusers;

mod interrupted;

mod judged;

mod labels;

mod layouts;

mod run_folder;

mod settings;

mod watching;
