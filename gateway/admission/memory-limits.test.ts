import { describeLimitStore } from "./limit-store.cases.ts";
import { createMemoryLimits } from "./memory-limits.ts";
import { createMemoryReplays } from "./memory-replays.ts";

describeLimitStore("the store in memory", async () => {
  let now = 1_750_000_000_000;
  return {
    store: { ...createMemoryLimits(() => now), ...createMemoryReplays(() => now, 1000) },
    advance: (ms) => {
      now += ms;
    },
    async [Symbol.asyncDispose]() {},
  };
});
