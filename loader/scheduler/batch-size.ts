import { createMean, type Mean } from "./mean.ts";

/** Learns from the runs how many rows are best computed together. */
export interface BatchSize {
  /** How many rows the next run takes at the most. */
  readonly limit: number;
  /** One run is over: how many rows it had of how many that waited, and how long it took. */
  observe(rows: number, waitingRows: number, tookMs: number): void;
}

/** Runs of each size before the sizes are compared for the first time. */
const firstTries = 2;
/** Runs between two looks at a neighbour of the best size: under 2 % of the runs, enough to follow a slow drift. */
const runsBetweenTries = 64;
/** The weight of the newest run in the throughput of its size. */
const newestWeight = 0.3;
/** A smaller size that reaches this share of the best throughput is taken, since its callers wait for less. */
const goodEnough = 0.97;

/**
 * Builds what finds the best size for one model: under load it tries each power of two up to `maxRows`, keeps to the one
 * with the most rows in a time, and looks at its neighbours now and then. Many models on a processor are fastest with a few
 * rows, because more no longer fit its caches; on an accelerator most are fastest with the largest.
 */
export function createBatchSize(maxRows: number): BatchSize {
  const sizes = sizesUpTo(maxRows);
  const rates = sizes.map(() => ({ rowsPerMs: createMean(newestWeight), runs: 0 }));
  // The largest first: nobody waits longer than needed while there is nothing to compare with.
  let current = sizes.length - 1;
  let runsLeft = runsBetweenTries;
  let direction = 1;

  /** Among the sizes that those who wait can fill. */
  const choose = (largest: number): number => {
    const untried = rates.findLastIndex(({ runs }, index) => index <= largest && runs < firstTries);
    if (untried !== -1) return untried;
    const best = bestOf(rates.slice(0, largest + 1));
    runsLeft -= 1;
    if (runsLeft > 0) return best;
    runsLeft = runsBetweenTries;
    direction = -direction;
    return Math.min(largest, Math.max(0, best + direction));
  };

  return {
    get limit() {
      return sizes[current] ?? maxRows;
    },
    observe(rows, waitingRows, tookMs) {
      const rate = rates[classOf(sizes, rows)];
      // One call with more rows than are ever put together says nothing about any size.
      if (rate === undefined || rows > maxRows || tookMs <= 0) return;
      rate.rowsPerMs.add(rows / tookMs);
      rate.runs += 1;
      // A caller who is alone fills no size but the first.
      if (waitingRows > 1) current = choose(classOf(sizes, waitingRows));
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
  return sizes.findLastIndex((size) => size <= rows);
}

function bestOf(rates: readonly { readonly rowsPerMs: Mean }[]): number {
  const most = Math.max(...rates.map(({ rowsPerMs }) => rowsPerMs.value));
  return rates.findIndex(({ rowsPerMs }) => rowsPerMs.value >= most * goodEnough);
}
