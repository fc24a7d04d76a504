//! Rows for people: one line per row, six digits, zeros omitted.

use ddpm_client::Program;
use ddpm_diffusion::{Clip, Evals, Mask, Mix, RawVariance, Row};

use crate::commands::output;

const HEAD: [&str; 10] =
    ["ROW", "STEP", "EVALS", "T", "x_0 =", "u' =", "y' =", "PUSH", "NOISE", "LEVEL"];

/// Formats the rows as a table, without columns that are empty in all rows.
pub(super) fn format_rows(program: &Program) -> String {
    let mut lines = vec![HEAD.map(str::to_owned).to_vec()];
    lines.extend(program.rows().iter().enumerate().map(|(position, row)| line(position, row)));
    let is_used = |column: &usize| lines.iter().skip(1).any(|line| !line[*column].is_empty());
    let columns: Vec<usize> = (0..HEAD.len()).filter(is_used).collect();
    let kept = |line: &Vec<String>| columns.iter().map(|column| line[*column].clone()).collect();
    output::table(lines.iter().map(kept).collect())
}

fn line(position: usize, row: &Row) -> Vec<String> {
    let label = &row.label;
    let step = if label.ends_step { label.step.to_string() } else { format!("({})", label.step) };
    let keeps_y = row.y == Mix { y: 1.0, ..Mix::ZERO };
    let calls = row.evals != Evals::Zero;
    vec![
        position.to_string(),
        step,
        evals(row.evals),
        if calls { digits(row.t) } else { String::new() },
        if reads_x_0(row) { x_0(row) } else { String::new() },
        masked(row, mix(&row.u)),
        if keeps_y { String::new() } else { mix(&row.y) },
        row.push.map_or_else(String::new, |push| {
            sum(&[(push.u, "u"), (push.x_0, "x_0"), (push.f, "F")])
        }),
        noise(position, row),
        digits(label.noise_level),
    ]
}

fn evals(evals: Evals) -> String {
    match evals {
        Evals::Zero => "0".to_owned(),
        Evals::One => "1".to_owned(),
        Evals::Unconditional => "1 (no label)".to_owned(),
        Evals::Guided { scale } => format!("2 (guided {})", digits(scale)),
    }
}

fn reads_x_0(row: &Row) -> bool {
    row.u.x_0 != 0.0 || row.y.x_0 != 0.0 || row.push.is_some_and(|push| push.x_0 != 0.0)
}

/// Includes the input's scale where it is not 1, as in `clip(1.2 u - 0.7 F(0.5 u))`.
fn x_0(row: &Row) -> String {
    let network =
        if row.c_in == 1.0 { "F".to_owned() } else { format!("F({} u)", digits(row.c_in)) };
    let rule = sum(&[(row.x_0.p_u, "u"), (row.x_0.p_f, &network)]);
    let clipped = match row.x_0.clip {
        Clip::None => rule,
        Clip::Unit => format!("clip({rule})"),
        Clip::Dynamic { quantile, max } => {
            format!("dynamic[{}, {}]({rule})", digits(quantile), digits(max))
        }
    };
    match row.mask {
        Mask::ReplaceX0 => format!("known or {clipped}"),
        Mask::None | Mask::ReplaceXt => clipped,
    }
}

fn masked(row: &Row, mix: String) -> String {
    match row.mask {
        Mask::ReplaceXt => format!("where known: {mix}"),
        Mask::None | Mask::ReplaceX0 => mix,
    }
}

fn mix(mix: &Mix) -> String {
    let [h1, h2, h3] = mix.h;
    sum(&[
        (mix.u, "u"),
        (mix.y, "y"),
        (mix.x_0, "x_0"),
        (mix.f, "F"),
        (h1, "h1"),
        (h2, "h2"),
        (h3, "h3"),
        (mix.z, "z"),
        (mix.known, "known"),
    ])
}

fn noise(position: usize, row: &Row) -> String {
    if !row.adds_noise() {
        return String::new();
    }
    let draw = row.noise.draw.map_or(position as u64 + 1, u64::from);
    let index = row.noise.index.map_or_else(String::new, |index| format!(" of index {index}"));
    let scale = match row.variance {
        RawVariance::None => String::new(),
        RawVariance::LogVariance => ", times exp(v / 2)".to_owned(),
        RawVariance::Range { ln_min, ln_max } => {
            format!(", learned in [{}, {}]", digits(ln_min), digits(ln_max))
        }
    };
    format!("draw {draw}{index}{scale}")
}

/// Formats a sum such as `1.2 u - 0.7 F`; 0 without terms.
fn sum(terms: &[(f64, &str)]) -> String {
    let mut text = String::new();
    for &(coefficient, name) in terms.iter().filter(|(coefficient, _)| *coefficient != 0.0) {
        let sign = match (text.is_empty(), coefficient < 0.0) {
            (true, true) => "-",
            (true, false) => "",
            (false, true) => " - ",
            (false, false) => " + ",
        };
        text += sign;
        if coefficient.abs() != 1.0 {
            text += &digits(coefficient.abs());
            text.push(' ');
        }
        text += name;
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

/// Formats six significant digits, without trailing zeros.
fn digits(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{number:.5e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let before = if size < 1.0 { 0 } else { size.log10() as usize };
    trimmed(&format!("{number:.*}", 5_usize.saturating_sub(before))).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::{Push, X0Rule};

    use super::*;

    #[test]
    fn numbers_have_at_most_six_digits() {
        let shown = [0.0, 1.0, 999.0, 0.123_456_789, -12_345.678, 3.2e-7, 1e6].map(digits);

        assert_eq!(shown, ["0", "1", "999", "0.12346", "-12345.7", "3.2e-7", "1e6"]);
    }

    #[test]
    fn only_what_is_not_0_is_shown_and_columns_align() {
        let mut first = Row::at(999.0);
        first.x_0 = X0Rule { p_u: 2.0, p_f: -0.5, clip: Clip::Unit };
        first.u = Mix { u: 0.5, x_0: 1.0, z: 0.25, ..Mix::ZERO };
        first.push = Some(Push { x_0: 1.0, ..Push::default() });
        (first.label.step, first.label.noise_level) = (1, 0.75);
        let mut second = Row::at(0.0);
        second.evals = Evals::Zero;
        second.u = Mix { u: 1.0, h: [-1.5, 0.0, 0.0], ..Mix::ZERO };
        second.label.step = 2;

        let table = format_rows(&Program::new(vec![first, second]));

        let expected = "\
ROW  STEP  EVALS  T    x_0 =              u' =                  PUSH  NOISE   LEVEL
0    1     1      999  clip(2 u - 0.5 F)  0.5 u + x_0 + 0.25 z  x_0   draw 1  0.75
1    2     0                              u - 1.5 h1                          0
";
        assert_eq!(table, expected);
    }

    #[test]
    fn guidance_masks_and_shared_noise_are_shown() {
        let mut row = Row::at(10.0);
        row.evals = Evals::Guided { scale: 3.0 };
        row.mask = Mask::ReplaceX0;
        row.u = Mix { x_0: 1.0, z: 1.0, ..Mix::ZERO };
        row.noise.index = Some(9);
        row.noise.draw = Some(4);

        let table = format_rows(&Program::new(vec![row]));

        for part in ["2 (guided 3)", "known or u", "x_0 + z", "draw 4 of index 9"] {
            assert!(table.contains(part), "{part} in {table}");
        }
    }
}
