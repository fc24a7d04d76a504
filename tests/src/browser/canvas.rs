//! What a canvas shows.

use crate::browser::Tab;

/// Copies a canvas, whatever draws on it, to `words`: one per pixel.
const WORDS: &str = "
    const canvas = document.querySelector(arguments[0]);
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    const words = new Uint32Array(copy.getImageData(0, 0, width, height).data.buffer);";

impl Tab {
    /// Returns the size of a canvas and a hash of its pixels (FNV-1a over words).
    #[track_caller]
    pub fn canvas_hash(&self, css: &str) -> String {
        let script = format!(
            "{WORDS}
            let hash = 0x811c9dc5;
            for (const word of words) hash = Math.imul(hash ^ word, 0x01000193);
            return `${{width}} x ${{height}}, ${{(hash >>> 0).toString(16)}}`;"
        );
        let hash = self.call(&script, &[css.into()]);
        hash.as_str().unwrap_or_else(|| panic!("{css} has no pixels")).to_owned()
    }

    /// Returns how many colours a canvas shows.
    #[track_caller]
    pub fn canvas_colours(&self, css: &str) -> u64 {
        let count = self.call(&format!("{WORDS} return new Set(words).size;"), &[css.into()]);
        count.as_u64().unwrap_or_else(|| panic!("{css} has no pixels"))
    }

    /// Waits until a canvas shows something that passes; returns its hash.
    #[track_caller]
    pub fn canvas_until(&self, css: &str, what: &str, passes: impl Fn(&str) -> bool) -> String {
        self.poll(what, || Some(self.canvas_hash(css)).filter(|hash| passes(hash)))
    }
}
