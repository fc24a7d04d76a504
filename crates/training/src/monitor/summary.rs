//! The summary at the end of a run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::HumanDuration;

use crate::judging::Quality;
use crate::store::RunDir;

/// How a run went.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    pub(crate) run: &'a RunDir,
    /// Steps taken in total, and by this process.
    pub(crate) steps: [u32; 2],
    pub(crate) batch_size: usize,
    /// Time since this process began to train, pictures and checkpoints included.
    pub(crate) time: Duration,
    /// The part of it that was spent on steps.
    pub(crate) training: Duration,
    pub(crate) loss: Option<f64>,
    pub(crate) held_out_loss: Option<f64>,
    pub(crate) quality: Option<Quality>,
    pub(crate) checkpoint: &'a Path,
    pub(crate) animation: Option<PathBuf>,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [steps, taken] = self.steps;
        let seconds = self.training.as_secs_f64().max(1e-9);
        let rate = f64::from(taken) * self.batch_size as f64 / seconds;
        let time = HumanDuration(self.time);
        write!(f, "steps       {steps}, {taken} of them in {time}, at {rate:.1} items/s")?;
        if let Some(loss) = self.loss {
            write!(f, "\nloss        {loss:.5}")?;
        }
        if let Some(loss) = self.held_out_loss {
            write!(f, "\nheld out    {loss:.5}")?;
        }
        if let Some(quality) = &self.quality {
            write!(f, "\nbest        {quality}")?;
        }
        write!(f, "\ncheckpoint  {}", self.checkpoint.display())?;
        write!(f, "\nsamples     {}", self.run.samples().display())?;
        if let Some(animation) = &self.animation {
            write!(f, "\nanimation   {}", animation.display())?;
        }
        write!(f, "\nlog         {}", self.run.metrics().display())?;
        write!(f, "\nevents      tensorboard --logdir {}", self.run.path().display())
    }
}
