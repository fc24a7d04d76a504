// @ts-check
/** Where points end: a smooth density on a coarse grid. */

/** Cells of a side. */
const CELLS = 112;
/** Many narrow box blurs are close to a Gaussian, and as round. */
const RADIUS = 1;
const PASSES = 9;

/**
 * The density of points, as a share of its largest value.
 * @param {Float32Array} points x and y in turn
 * @param {(k: number) => boolean} isThere whether point k counts
 * @param {number} extent of the square that is covered, on each side of 0
 * @returns {Float32Array} CELLS × CELLS, first row at the top
 */
export function densityOf(points, isThere, extent) {
  let cells = new Float32Array(CELLS * CELLS);
  for (let k = 0; 2 * k < points.length; k += 1) {
    if (!isThere(k)) continue;
    const column = Math.floor(((points[2 * k] / extent + 1) / 2) * CELLS);
    const row = Math.floor(((1 - points[2 * k + 1] / extent) / 2) * CELLS);
    if (column >= 0 && row >= 0 && column < CELLS && row < CELLS) cells[row * CELLS + column] += 1;
  }
  for (let pass = 0; pass < PASSES; pass += 1) cells = blurred(blurred(cells, 1, CELLS), CELLS, 1);
  const most = cells.reduce((a, b) => Math.max(a, b), 0);
  return most > 0 ? cells.map((cell) => cell / most) : cells;
}

/**
 * A box blur along one direction.
 * @param {Float32Array} cells
 * @param {number} step from a cell to the next along the blur
 * @param {number} stride from a line to the next
 */
function blurred(cells, step, stride) {
  const out = new Float32Array(cells.length);
  for (let line = 0; line < CELLS; line += 1) {
    const start = line * stride;
    let sum = 0;
    for (let k = -RADIUS; k < CELLS; k += 1) {
      if (k + RADIUS < CELLS) sum += cells[start + (k + RADIUS) * step];
      if (k - RADIUS > 0) sum -= cells[start + (k - RADIUS - 1) * step];
      if (k >= 0) out[start + k * step] = sum;
    }
  }
  return out;
}

/**
 * Paints a density over a whole picture.
 * @param {Float32Array | undefined} density
 * @param {Uint32Array} words RGBA
 * @param {number} side of the picture
 * @param {import('./raster.js').Colour} empty
 * @param {import('./raster.js').Colour} full
 */
export function paintDensity(density, words, side, empty, full) {
  const colours = Uint32Array.from({length: 256}, (_, k) => {
    const share = (k / 255) ** 0.6;
    const [r, g, b] = empty.map((from, i) => Math.round(from + (full[i] - from) * share));
    return 0xff000000 | (b << 16) | (g << 8) | r;
  });
  if (!density) {
    words.fill(colours[0]);
    return;
  }
  const scale = (CELLS - 1) / Math.max(1, side - 1);
  for (let y = 0; y < side; y += 1) {
    const v = y * scale;
    const row = Math.min(CELLS - 2, Math.floor(v));
    const down = v - row;
    for (let x = 0; x < side; x += 1) {
      const u = x * scale;
      const column = Math.min(CELLS - 2, Math.floor(u));
      const along = u - column;
      const at = row * CELLS + column;
      const above = density[at] + (density[at + 1] - density[at]) * along;
      const below = density[at + CELLS] + (density[at + CELLS + 1] - density[at + CELLS]) * along;
      words[y * side + x] = colours[((above + (below - above) * down) * 255) | 0];
    }
  }
}
