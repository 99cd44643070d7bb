// Columns as reports/columns.py packs them.

async function inflated(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Whole numbers: planes of bytes, differences with the sign in the lowest bit. Exact up to 2^53. */
export async function numbers(packed, Kind = Float64Array) {
  const planes = await inflated(packed.z);
  const { n, width } = packed;
  const out = new Kind(n);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    let folded = 0;
    for (let k = width - 1; k >= 0; k--) folded = folded * 256 + planes[k * n + i];
    sum += folded % 2 ? -(folded + 1) / 2 : folded / 2;
    out[i] = sum;
  }
  return out;
}

export async function lines(packed) {
  return packed.n ? new TextDecoder().decode(await inflated(packed.z)).split("\n") : [];
}

/** Texts of which few differ: a function from row to text. */
export async function words(packed) {
  const [said, row] = await Promise.all([lines(packed.lines), numbers(packed.row, Uint32Array)]);
  return (i) => said[row[i]] ?? "";
}
