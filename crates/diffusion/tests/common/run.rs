//! Many points through a program, by the kernel that serves.

use ddpm_diffusion::{Kernel, Known, Noise, Program, State};

use super::Perfect;

/// Points of one state. The kernel works element by element, so a state of many
/// points is as many samples.
const TOGETHER: usize = 512;

/// The coordinates that are known of each point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inpainted {
    pub(crate) image: [f64; 2],
    pub(crate) mask: [f64; 2],
}

/// A run of a program.
pub(crate) struct Run<'a> {
    pub(crate) program: &'a Program,
    pub(crate) network: &'a Perfect,
    pub(crate) seed: u64,
    pub(crate) known: Option<Inpainted>,
}

impl Run<'_> {
    /// The first `count` samples `[count, 2]`, rounded up to whole states, by two
    /// threads.
    pub(crate) fn samples(&self, count: usize) -> Vec<f64> {
        let states = count.div_ceil(TOGETHER) as u64;
        let half = states / 2;
        std::thread::scope(|scope| {
            let first = scope.spawn(|| (0..half).flat_map(|index| self.state(index)).collect());
            let mut second: Vec<f64> = (half..states).flat_map(|index| self.state(index)).collect();
            let mut all: Vec<f64> = first.join().expect("no sample panics");
            all.append(&mut second);
            all
        })
    }

    fn state(&self, index: u64) -> Vec<f64> {
        let len = 2 * TOGETHER;
        let noise = Noise::new(self.seed);
        let mut state = State::start(self.program, &noise, index, len);
        let mut kernel = Kernel::new(len);
        let (image, mask) = match self.known {
            Some(known) => (known.image.repeat(TOGETHER), known.mask.repeat(TOGETHER)),
            None => Default::default(),
        };
        let known = self.known.map(|_| Known { image: &image[..], mask: &mask[..] });
        for (position, row) in self.program.rows().iter().enumerate() {
            let outputs = self.network.outputs(row, state.u());
            let outputs: Vec<&[f64]> = outputs.iter().map(Vec::as_slice).collect();
            kernel.advance(row, position, &mut state, &outputs, &noise, index, known);
        }
        state.u().to_vec()
    }
}
