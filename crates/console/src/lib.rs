//! What the programs have in common on a command line.
//!
//! * [`parse`], [`at_least_one`]: arguments and environment variables;
//! * [`ignores_hangup`]: whether the program outlives its terminal;
//! * [`print()`]: results go to stdout, and whoever asked for them hears if they are lost;
//! * [`note!`]: everything else goes to stderr, a whole line per write. Notes never fail work: if
//!   the terminal, the pipe or the disk behind them is gone, the work goes on;
//! * [`quoted`]: words of commands to paste;
//! * [`last_note`]: what a person must read at the end, on the terminal if stderr is gone;
//! * [`LossyStderr`]: stderr for loggers that would stop at an error.

mod arguments;
pub use arguments::{at_least_one, parse};

mod signals;
pub use signals::ignores_hangup;

mod notes;
pub use notes::{LossyStderr, copy_notes_to, last_note, write_note};

mod quoted;
pub use quoted::quoted;

mod results;
pub use results::print;
