//! End to end: the real server as a process of its own, the real client, and the
//! models that are embedded in the server.
//!
//! One promise to users a module:
//!
//! * `sampling`: what was asked for comes, in every format, and again the same;
//! * `previews`: samples are seen while they form, at the cadence asked for;
//! * `batching`: requests share calls of the network and keep their bits;
//! * `refusals`: bad requests get a clear error and cost nothing else;
//! * `packages`: bad packages are refused at start, with what is wrong;
//! * `cancellation`: clients that leave free what they held;
//! * `overload`: a full server refuses with a time to come back;
//! * `shutdown`: a signal drains, a second one does not wait;
//! * `command`: the `ddpm` command against the real server;
//! * `noise`: x_T over the wire is the documented noise;
//! * `samplers`: every sampler answers, and all of them share calls;
//! * `toys`: every kind of network with every sampler that suits it;
//! * `programs`: rows of the client's own run as they are, or are refused by field;
//! * `editing`: from pictures, around known parts, between two, with shared noise.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod harness;

mod raw;

mod sampling;

mod previews;

mod batching;

mod refusals;

mod packages;

mod cancellation;

mod overload;

mod shutdown;

mod command;

mod noise;

mod samplers;

mod toys;

mod programs;

mod editing;
