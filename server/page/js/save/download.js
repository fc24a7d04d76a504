// @ts-check
/**
 * Bytes → a file in the person's downloads.
 */

/** Browsers read the data soon after the click, but say nothing when they have. */
const READ_WITHIN_MS = 10_000;

/**
 * Saves bytes as a file.
 *
 * @param {Uint8Array<ArrayBuffer> | string} bytes
 * @param {string} name of the file
 * @param {string} mediaType such as `image/png`
 */
export function download(bytes, name, mediaType) {
  const url = URL.createObjectURL(new Blob([bytes], {type: mediaType}));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), READ_WITHIN_MS);
}
