import { ServingError } from "../../proto/errors.ts";

/** Counts the requests that the gateway has under way, whoever sent them. */
export interface InFlight {
  /**
   * Takes a place, which is given back by disposing of it, once.
   *
   * @throws ServingError GATEWAY_BUSY when all are taken.
   */
  enter(): Disposable;
  count(): number;
}

/** Builds a count with so many places. */
export function createInFlight(max: number): InFlight {
  let count = 0;
  // One for all: a place has nothing of its own, and this is on every request.
  const place: Disposable = {
    [Symbol.dispose]() {
      count -= 1;
    },
  };
  return {
    enter() {
      if (count >= max) throw new ServingError("GATEWAY_BUSY", "the gateway has as many requests under way as it may");
      count += 1;
      return place;
    },
    count: () => count,
  };
}
