//! Pictures and labels as the batch files hold them, joined in order.

/// Side of a picture.
pub(super) const SIZE: usize = 32;
pub(super) const PICTURE_LEN: usize = 3 * SIZE * SIZE;
/// The class names of the data set's authors.
pub(super) const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Pictures `[3, 32, 32]` one after another, and the class of each.
#[derive(Default)]
pub(super) struct Batches {
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<usize>,
}

impl Batches {
    /// Adds the class of the next picture, number `record` of its batch.
    ///
    /// # Errors
    ///
    /// If there is no such class.
    pub(super) fn add_label(&mut self, record: usize, label: i64) -> Result<(), String> {
        match usize::try_from(label) {
            Ok(label) if label < CLASS_NAMES.len() => self.labels.push(label),
            _ => {
                return Err(format!("record {record} has label {label}, which is not in 0..10"));
            }
        }
        Ok(())
    }
}
