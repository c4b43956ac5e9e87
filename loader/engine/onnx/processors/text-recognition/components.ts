/** The connected groups of pixels of a map. Group `i` is `pixels[starts[i]] ... pixels[starts[i + 1] - 1]`. */
export interface Components {
  /** Indexes (y * width + x) of all pixels in a group, group after group. */
  readonly pixels: Int32Array;
  /** One more entry than there are groups. */
  readonly starts: readonly number[];
}

/**
 * Groups the pixels of a map that exceed a threshold and touch, corners included. Groups of fewer than `minPixels` are
 * left out.
 */
export function connectedComponents(
  map: Float32Array,
  width: number,
  threshold: number,
  minPixels: number,
): Components {
  const waiting = new Uint8Array(map.length);
  let count = 0;
  for (let index = 0; index < map.length; index++) {
    if ((map[index] ?? 0) <= threshold) continue;
    waiting[index] = 1;
    count++;
  }
  const pixels = new Int32Array(count);
  const starts = [0];
  let end = 0;
  for (let index = 0; index < waiting.length; index++) {
    if (waiting[index] === 0) continue;
    const start = end;
    end = collect(waiting, width, index, pixels, start);
    if (end - start < minPixels) end = start;
    else starts.push(end);
  }
  return { pixels: pixels.subarray(0, end), starts };
}

// `pixels` is both the result and the queue of those whose neighbours were not looked at yet.
function collect(waiting: Uint8Array, width: number, seed: number, pixels: Int32Array, start: number): number {
  const height = waiting.length / width;
  let end = start;
  pixels[end++] = seed;
  waiting[seed] = 0;
  for (let next = start; next < end; next++) {
    const index = pixels[next] ?? 0;
    const x = index % width;
    const y = (index - x) / width;
    const right = Math.min(x + 1, width - 1);
    const bottom = Math.min(y + 1, height - 1);
    for (let ny = Math.max(0, y - 1); ny <= bottom; ny++) {
      for (let nx = Math.max(0, x - 1); nx <= right; nx++) {
        const neighbour = ny * width + nx;
        if (waiting[neighbour] === 0) continue;
        waiting[neighbour] = 0;
        pixels[end++] = neighbour;
      }
    }
  }
  return end;
}
