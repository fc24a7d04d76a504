//! What the end-to-end tests and `make stress` share: a generator of load, and clients that mean
//! harm. Neither knows our client; both know the contract and HTTP/2.

pub mod load;

pub mod attack;
