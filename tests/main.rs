//! End to end: the real server in its own process, the real client, and the models that
//! are embedded in the server.
//!
//! One promise to users per module:
//!
//! * `sampling`: requested samples arrive in every format, and are reproducible;
//! * `previews`: samples can be watched in the making, at the requested cadence;
//! * `batching`: requests share calls of the network and keep their bits;
//! * `refusals`: bad requests get a clear error and have no other effect;
//! * `bodies`: what arrives instead of a request is bounded, and answered;
//! * `packages`: bad packages are refused at startup, with the reason;
//! * `cancellation`: clients that leave free what they held;
//! * `overload`: a full server refuses requests and says when to retry;
//! * `connections`: connections that do nothing, or too much, are bounded;
//! * `page_files`: browsers get the page, whole and small;
//! * `page_http`: browsers can call, and their connections are bounded;
//! * `other_sites`: scripts of other sites get nothing;
//! * `shutdown`: a signal drains, a second one stops at once;
//! * `logs`: a log that cannot be written never fails work;
//! * `variables`: empty variables count as unset;
//! * `privacy`: no program reports to anybody;
//! * `command`: the `ddpm` command against the real server;
//! * `terminal`: samples form on a terminal, and what is left without one;
//! * `noise`: x_T over the wire is the documented noise;
//! * `samplers`: every sampler works, and all of them share calls;
//! * `toys`: every kind of network with every sampler that suits it;
//! * `programs`: a client's own rows run unchanged, or are refused by field;
//! * `house`: which crates may depend on which, and how source files look;
//! * `editing`: from pictures, around known parts, between two, with shared noise.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod harness;

mod watched;

mod raw;

mod sampling;

mod previews;

mod batching;

mod refusals;

mod bodies;

mod packages;

mod cancellation;

mod overload;

mod connections;

mod http1;

mod page_files;

mod page_http;

mod other_sites;

mod shutdown;

mod logs;

mod variables;

mod privacy;

mod command;

mod terminal;

mod noise;

mod house;

mod samplers;

mod toys;

mod programs;

mod editing;
