/** Learns from the runs how many rows are best computed together. */
export interface BatchSize {
  /** How many rows the next run takes at the most. */
  readonly limit: number;
  /** One run is over: how many rows it had of how many that waited, and how long it took. */
  observe(rows: number, waitingRows: number, tookMs: number): void;
}

/** Runs of each of two sizes that are compared, in turns, so that what else the machine does meets both alike. */
const runsOfSize = 3;
/** Runs between two comparisons once neither neighbour was better: the tries cost little, and a slow drift is followed. */
const runsBetween = 64;
/** The throughput that another size must have in comparison. A smaller one may lose a little, since its callers wait for less. */
const enough = { smaller: 0.99, larger: 1.03 };

/** Two neighbouring sizes, by their place, and what was seen of each. */
interface Comparison {
  readonly current: Seen;
  readonly other: Seen;
}

interface Seen {
  readonly index: number;
  runs: number;
  rows: number;
  ms: number;
}

/**
 * Builds what finds the best size for one model: under load it compares its size with the next smaller or larger power of two,
 * moves where more rows are computed in a time, and looks again now and then. Many models on a processor are fastest with a
 * few rows, because more no longer fit its caches; on an accelerator most are fastest with the largest.
 */
export function createBatchSize(maxRows: number): BatchSize {
  const sizes = sizesUpTo(maxRows);
  const sizeAt = (index: number): number => sizes[index] ?? maxRows;
  // The largest first: nobody waits longer than needed while there is nothing to compare with.
  let current = sizes.length - 1;
  let direction = -1;
  let runsLeft = 0;
  let comparison: Comparison | undefined;

  const begin = (waitingRows: number): Comparison | undefined => {
    // Sizes that those who wait do not fill are all the same.
    const index = Math.min(current, classOf(sizes, waitingRows));
    const canGrow = index + 1 < sizes.length && waitingRows > sizeAt(index);
    if ((direction > 0 && !canGrow) || (direction < 0 && index === 0)) direction = -direction;
    if (direction > 0 ? !canGrow : index === 0) return undefined;
    return { current: unseen(index), other: unseen(index + direction) };
  };

  const conclude = ({ current: own, other }: Comparison): void => {
    const ratio = other.rows / other.ms / (own.rows / own.ms);
    if (ratio >= (other.index < own.index ? enough.smaller : enough.larger)) {
      current = other.index;
    } else {
      direction = -direction;
      runsLeft = runsBetween;
    }
  };

  const compare = (compared: Comparison, rows: number, waitingRows: number, tookMs: number): void => {
    const [smaller, larger] = bySize(compared);
    if (waitingRows <= sizeAt(smaller.index)) return;
    see(rows <= sizeAt(smaller.index) ? smaller : larger, rows, tookMs);
    if (Math.min(smaller.runs, larger.runs) < runsOfSize) return;
    conclude(compared);
    comparison = undefined;
  };

  return {
    get limit() {
      if (comparison === undefined) return sizeAt(current);
      const { current: own, other } = comparison;
      return sizeAt(own.runs <= other.runs ? own.index : other.index);
    },
    observe(rows, waitingRows, tookMs) {
      // One call with more rows than are ever put together says nothing about any size.
      if (rows > maxRows || tookMs <= 0) return;
      runsLeft -= 1;
      if (comparison !== undefined) compare(comparison, rows, waitingRows, tookMs);
      if (comparison === undefined && runsLeft <= 0) comparison = begin(waitingRows);
    },
  };
}

function sizesUpTo(maxRows: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < maxRows; size *= 2) sizes.push(size);
  return [...sizes, maxRows];
}

/** The largest size that these rows fill. */
function classOf(sizes: readonly number[], rows: number): number {
  return Math.max(
    0,
    sizes.findLastIndex((size) => size <= rows),
  );
}

function bySize({ current, other }: Comparison): readonly [Seen, Seen] {
  return current.index < other.index ? [current, other] : [other, current];
}

function unseen(index: number): Seen {
  return { index, runs: 0, rows: 0, ms: 0 };
}

function see(seen: Seen, rows: number, tookMs: number): void {
  seen.runs += 1;
  seen.rows += rows;
  seen.ms += tookMs;
}
