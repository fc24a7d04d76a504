//! Clients that mean harm: what one careless or hostile peer can do to a server over HTTP/2.
//!
//! They write frames by hand, because a library would refuse to send most of this. Each attack
//! runs until a moment and returns what it managed to do.

// Frames by hand.
mod peer;
pub mod wire;

pub use peer::Peer;
pub use wire::{Frames, Messages};

// What is done with them.
mod bodies;
mod floods;
mod kind;
mod slow_headers;
mod unread;

pub use kind::{Kind, Target};
pub use unread::{StreamEnd, Unread};
