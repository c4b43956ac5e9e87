import { ServingError } from "../../proto/errors.ts";
import { isLimited, type LimitStore, type ReplayStore } from "./limit-store.ts";

/** A store of limits and of signatures. */
export type Stores = LimitStore & ReplayStore;

/** What happens while the shared store cannot be reached. */
export interface SharedStoreOptions {
  readonly shared: Stores;
  /** Keeps the same limits in this process alone. */
  readonly local: Stores;
  /** Whether the shared store can be asked now. */
  readonly isUp: () => boolean;
  /** `local`: the local store decides meanwhile; `refuse`: nothing that is limited is let in. */
  readonly whenDown: "local" | "refuse";
  /** Told of every call that failed although the store seemed to be up. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Asks the shared store, and when that fails the local one: an outage of Redis must not be one of the gateway. What was
 * granted is given back to the store that granted it.
 */
export function createSharedStores(options: SharedStoreOptions): Stores {
  const { shared, local } = options;
  const ask = async <Result>(ask: (stores: Stores) => Result | Promise<Result>): Promise<Result> => {
    if (options.isUp()) {
      try {
        return await ask(shared);
      } catch (error) {
        options.onFailure(error);
      }
    }
    if (options.whenDown === "local") return ask(local);
    throw new ServingError("ADMISSION_UNAVAILABLE", "limits cannot be checked now");
  };
  return {
    // What is not limited is not worth a round trip, and no outage is in its way.
    take: (share) => (isLimited(share) ? ask((stores) => stores.take(share)) : local.take(share)),
    spend: (app, rate, bytes) => ask((stores) => stores.spend(app, rate, bytes)),
    firstUse: (key, signature, keepMs) => ask((stores) => stores.firstUse(key, signature, keepMs)),
  };
}
