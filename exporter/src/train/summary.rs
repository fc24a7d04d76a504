//! What is said at the end of a run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::HumanDuration;

use super::RunDir;
use super::judging::Quality;

/// How a run went.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) run: &'a RunDir,
    /// Steps taken in all, and by this process.
    pub(super) steps: [u32; 2],
    pub(super) batch_size: usize,
    /// Time that this process took, pictures and checkpoints included.
    pub(super) time: Duration,
    /// The part of it that went to steps.
    pub(super) training: Duration,
    pub(super) loss: Option<f64>,
    pub(super) held_out_loss: Option<f64>,
    pub(super) quality: Option<Quality>,
    pub(super) checkpoint: PathBuf,
    pub(super) animation: Option<PathBuf>,
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
