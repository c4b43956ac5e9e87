/** A mean in which the newest values count most. */
export interface Mean {
  /** 0 while there is no value. */
  readonly value: number;
  add(value: number): void;
}

/** Builds an empty mean. `newestWeight`, above 0 and at most 1, is the share of each new value: 0.2 makes the last ten or so decide. */
export function createMean(newestWeight: number): Mean {
  let mean: number | undefined;
  return {
    get value() {
      return mean ?? 0;
    },
    add(value) {
      mean = mean === undefined ? value : mean + newestWeight * (value - mean);
    },
  };
}
