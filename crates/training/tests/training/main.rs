//! The training loop: exact, addressed, and equal to the reference's.

#[path = "../../../network/tests/network/support.rs"]
mod support;

mod class_order;

mod data_on;

mod objectives;

mod python_loop;

mod reference;

mod runs;

mod watching;
