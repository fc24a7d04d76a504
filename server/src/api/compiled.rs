//! Programs that were compiled lately. Clients that resume a run, and those that draw sample
//! after sample, ask for the same rows again and again; compiling and digesting 100,000 of them
//! takes a second.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use ddpm_diffusion::{Program, Sampler};
use ddpm_proto::v1;
use prost::Message;
use sha2::{Digest, Sha256};

use super::faults::Faults;
use super::recipe::{self, Asked, InitialKind};
use crate::admission::Admission;
use crate::registry::Model;
use crate::scheduler::ModelId;

/// Most bytes of rows that are remembered.
const MAX_BYTES: u64 = 64 << 20;

/// What is remembered takes at most this share of the memory limit.
const SHARE_OF_LIMIT: u64 = 8;

/// Bytes of a program beside its rows: receipt, digest and places in the maps.
const BYTES_BESIDE_ROWS: u64 = 2048;

/// What runs, and how a receipt describes it.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(super) program: Arc<Program>,
    /// [`Program::digest`].
    pub(super) digest: String,
    /// The sampler that runs; absent for the client's own rows.
    pub(super) sampler: Option<Sampler>,
    pub(super) recipe: v1::Receipt,
}

/// SHA-256 of everything that decides the rows.
type Key = [u8; 32];

/// The programs that were used last, within a bound.
#[derive(Debug)]
pub(crate) struct CompiledCache {
    max_bytes: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    programs: HashMap<Key, (Arc<Compiled>, u64)>,
    /// When each was used last, as a number that grows.
    uses: BTreeMap<u64, Key>,
    next_use: u64,
    bytes: u64,
}

impl CompiledCache {
    /// Makes an empty cache, and sets a small share of the memory limit aside for it.
    pub(crate) fn new(admission: &Admission) -> Self {
        let max_bytes = MAX_BYTES.min(admission.limits().max_held_bytes / SHARE_OF_LIMIT);
        admission.memory().set_aside(max_bytes);
        Self { max_bytes, kept: Mutex::default() }
    }

    /// Returns the program of a request, compiled now or remembered; adds faults with their
    /// fields.
    pub(super) fn get(
        &self,
        faults: &mut Faults,
        model: &Model,
        mut asked: Asked,
    ) -> Option<Arc<Compiled>> {
        let key = key(model.id, &asked);
        if let Some(compiled) = self.kept().find(&key) {
            return Some(compiled);
        }
        let before = faults.left();
        let recipe::Compiled { program, sampler, recipe } =
            recipe::compile(faults, model, &mut asked)?;
        let digest = program.digest();
        let compiled = Arc::new(Compiled { program: Arc::new(program), digest, sampler, recipe });
        // A program with faults must report them again.
        if faults.left() == before {
            self.kept().insert(key, &compiled, self.max_bytes);
        }
        Some(compiled)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, key: &Key) -> Option<Arc<Compiled>> {
        let (compiled, used) = self.programs.get_mut(key)?;
        self.uses.remove(used);
        *used = self.next_use;
        self.uses.insert(self.next_use, *key);
        self.next_use += 1;
        Some(Arc::clone(compiled))
    }

    fn insert(&mut self, key: Key, compiled: &Arc<Compiled>, max_bytes: u64) {
        if bytes(compiled) > max_bytes || self.programs.contains_key(&key) {
            return;
        }
        self.bytes += bytes(compiled);
        self.programs.insert(key, (Arc::clone(compiled), self.next_use));
        self.uses.insert(self.next_use, key);
        self.next_use += 1;
        while self.bytes > max_bytes {
            let Some((_, oldest)) = self.uses.pop_first() else { return };
            if let Some((dropped, _)) = self.programs.remove(&oldest) {
                self.bytes -= bytes(&dropped);
            }
        }
    }
}

fn bytes(compiled: &Compiled) -> u64 {
    size_of_val(compiled.program.rows()) as u64 + BYTES_BESIDE_ROWS
}

/// The identity of what decides rows. Protobuf writes equal messages alike: they have no maps.
fn key(model: ModelId, asked: &Asked) -> Key {
    let Asked {
        sampler,
        num_steps,
        grid,
        grid_options,
        clip,
        dynamic_threshold,
        guidance,
        shared_noise,
        inpaint,
        has_known,
        initial,
        labelled,
    } = asked;
    let method = inpaint.map(|method| v1::Inpaint { method: Some(method), ..Default::default() });
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    put(&(model as u64).to_le_bytes());
    put(&message(sampler.as_ref()));
    put(&num_steps.map_or(vec![], |steps| steps.to_le_bytes().to_vec()));
    put(&grid.to_le_bytes());
    put(&message(grid_options.as_ref()));
    put(&clip.to_le_bytes());
    put(&message(dynamic_threshold.as_ref()));
    put(&message(guidance.as_ref()));
    put(&message(shared_noise.as_ref()));
    put(&message(method.as_ref()));
    put(&[u8::from(*has_known), u8::from(*labelled)]);
    match initial {
        InitialKind::Noise => put(b"noise"),
        InitialKind::States => put(b"states"),
        InitialKind::Images { strength: None } => put(b"images"),
        InitialKind::Images { strength: Some(strength) } => put(&strength.to_le_bytes()),
    }
    hash.finalize().into()
}

/// The bytes of a message that may be absent; the first byte says whether it is.
fn message<M: Message>(message: Option<&M>) -> Vec<u8> {
    let mut bytes = vec![u8::from(message.is_some())];
    if let Some(message) = message {
        bytes.extend(message.encode_to_vec());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::Row;

    use super::*;

    fn asked() -> Asked {
        Asked {
            sampler: None,
            num_steps: None,
            grid: 0,
            grid_options: None,
            clip: 0,
            dynamic_threshold: None,
            guidance: None,
            shared_noise: None,
            inpaint: None,
            has_known: false,
            initial: InitialKind::Noise,
            labelled: false,
        }
    }

    fn compiled(rows: usize) -> Arc<Compiled> {
        let row = |step| {
            let mut row = Row::at(1.0);
            (row.label.step, row.label.num_steps) = (step as u32, rows as u32);
            row.label.ends_step = true;
            row
        };
        let program = Program::new((1..=rows).map(row).collect()).unwrap();
        let recipe = v1::Receipt::default();
        let (program, digest) = (Arc::new(program), String::new());
        Arc::new(Compiled { program, digest, sampler: None, recipe })
    }

    #[test]
    fn whatever_decides_the_rows_is_part_of_the_key() {
        use v1::inpaint::Method;
        let kind = |kind| Some(v1::Sampler { kind: Some(kind) });
        let heun = kind(v1::sampler::Kind::Heun(v1::Heun {}));
        let lms = |order| kind(v1::sampler::Kind::Lms(v1::Lms { order }));
        let repaint =
            |resampling| Some(Method::ReplaceXT(v1::ReplaceXt { resampling, jump_length: 0 }));
        let images = |strength| InitialKind::Images { strength };
        let others = [
            Asked { sampler: heun, ..asked() },
            Asked { sampler: lms(1), ..asked() },
            Asked { sampler: lms(2), ..asked() },
            Asked { num_steps: Some(0), ..asked() },
            Asked { num_steps: Some(7), ..asked() },
            Asked { grid: 1, ..asked() },
            Asked { grid_options: Some(v1::GridOptions::default()), ..asked() },
            Asked { clip: 1, ..asked() },
            Asked { dynamic_threshold: Some(v1::DynamicThreshold::default()), ..asked() },
            Asked { guidance: Some(v1::Guidance::default()), ..asked() },
            Asked { shared_noise: Some(v1::SharedNoise::default()), ..asked() },
            Asked { inpaint: Some(Method::ReplaceX0(v1::ReplaceX0 {})), ..asked() },
            Asked { inpaint: repaint(1), ..asked() },
            Asked { inpaint: repaint(2), ..asked() },
            Asked { has_known: true, ..asked() },
            Asked { initial: InitialKind::States, ..asked() },
            Asked { initial: images(None), ..asked() },
            Asked { initial: images(Some(0.0)), ..asked() },
            Asked { initial: images(Some(0.5)), ..asked() },
            Asked { labelled: true, ..asked() },
        ];
        let mut keys: Vec<Key> = others.iter().map(|asked| key(0, asked)).collect();
        keys.push(key(0, &asked()));
        keys.push(key(1, &asked()));
        assert_eq!(key(0, &asked()), key(0, &asked()));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 2);
    }

    #[test]
    fn the_programs_that_were_used_last_are_kept_within_the_bound() {
        let max = 3 * bytes(&compiled(10));
        let mut kept = Kept::default();
        for number in 0..3 {
            kept.insert([number; 32], &compiled(10), max);
        }
        assert_eq!((kept.programs.len(), kept.bytes), (3, max));
        assert!(kept.find(&[0; 32]).is_some());
        kept.insert([3; 32], &compiled(10), max);
        assert!(kept.find(&[1; 32]).is_none(), "it was used least lately");
        assert!([0, 2, 3].iter().all(|number| kept.find(&[*number; 32]).is_some()));
        assert_eq!((kept.programs.len(), kept.uses.len(), kept.bytes), (3, 3, max));
    }

    #[test]
    fn a_program_as_large_as_the_bound_is_kept_and_a_larger_one_is_not() {
        let max = bytes(&compiled(10));
        let mut kept = Kept::default();
        kept.insert([0; 32], &compiled(11), max);
        assert_eq!((kept.programs.len(), kept.bytes), (0, 0));
        kept.insert([1; 32], &compiled(10), max);
        kept.insert([1; 32], &compiled(10), max);
        assert_eq!((kept.programs.len(), kept.bytes), (1, max), "once each");
    }
}
