//! Promises of `ddpm-exporter` to its users.

mod support;

mod advice;

mod commands;

mod data_check;

mod evaluation;

mod faulty_models;

mod import;

mod import_diffusers;

mod import_folders;

mod import_foreign;

mod import_schedulers;

mod interrupted;

mod judged;

mod labels;

mod layouts;

mod run_folder;

mod settings;

mod watching;
