//! Promises of `ddpm-exporter` to its users.

mod support;

mod commands;

mod data_check;

mod evaluation;

mod import;

mod import_diffusers;

mod judged;

mod labels;

mod layouts;

mod settings;

mod watching;
