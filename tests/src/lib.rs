//! What the end-to-end tests and the programs that measure share: a generator of load, clients that
//! mean harm, and a browser (none knows our client); servers in processes of their own; reports.

pub mod load;

pub mod attack;

pub mod browser;

pub mod machine;

pub mod process;

pub mod report;
