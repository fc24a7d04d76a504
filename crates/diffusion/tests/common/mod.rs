//! Problems with known answers, and what tells how near a sampler comes.

#![allow(dead_code, unused_imports, reason = "each test uses its own part")]

mod docs;
pub(crate) use docs::{Table, document};

mod interpreter;
pub(crate) use interpreter::Sample;

mod mixture;
pub(crate) use mixture::{Component, Mixture};

mod moments;
pub(crate) use moments::Moments;

mod networks;
pub(crate) use networks::{Perfect, from_pure_noise, predictions};

mod run;
pub(crate) use run::{Inpainted, Run};

mod statistics;
pub(crate) use statistics::{chi_square, chi_square_tail, kolmogorov_smirnov, normal_cdf};
