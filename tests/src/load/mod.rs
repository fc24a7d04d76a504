//! Load as users make it: arrivals that wait for nobody, requests drawn from a mix, one record
//! per request.
//!
//! The generator is **open loop**: a request is sent when it was planned, whether or not earlier
//! ones were answered, and its times count from the planned moment. A generator that waits for
//! answers sends less the slower the server gets, and hides what it should measure.
//!
//! Everything random comes from a seed, so the same plan can be run twice: with and without
//! whatever is under test.

// What is asked.
mod arrivals;
mod mix;

pub use arrivals::poisson;
pub use mix::{Mix, Planned, Reader, Shape};

// How it is asked.
mod call;
mod channel;
mod driver;
mod isolated;

pub use call::{Call, request};
pub use channel::{Limits, Load, connect, limits, load, wait_until_idle};
pub use driver::{Order, open_loop, whole_requests};
pub use isolated::Isolated;

// What came of it.
mod quantiles;
mod record;

pub use quantiles::{median, quantile};
pub use record::{Outcome, Record, goodput};
